export { createFastClock } from "./fast-clock.js";
export { FakeConnection } from "./fake-connection.js";
export { FakeCoordinator } from "./fake-coordinator.js";
export type { FakeCall, FakeCoordinatorOptions } from "./fake-coordinator.js";
export { fakeBaseModelHash, fakeInstructions, fakeRole, filledState } from "./fake-plan.js";
export { FakeTrainer } from "./fake-trainer.js";
export type { FakeTrainerOptions } from "./fake-trainer.js";
