import fc from "fast-check";

// A change is judged by the same examples every time. `npm run verify:long` looks at others: FEDLORA_PROPERTY_SEED=random.
const { FEDLORA_PROPERTY_SEED: seed = "1" } = process.env;
if (seed !== "random") fc.configureGlobal({ seed: Number(seed) });
