import type { ServerOptimizerSpec } from "@fedlora/core";
import { fedSb } from "../method/fed-sb.js";
import { fedavg } from "../method/fedavg.js";
import { fedexLora } from "../method/fedex-lora.js";
import { fedsaLora } from "../method/fedsa-lora.js";
import { ffaLora } from "../method/ffa-lora.js";
import type { Dense } from "./dense.js";
import { mixedRanks } from "./method-case.js";
import type { MethodCase, OracleResult, OracleRound } from "./method-case.js";
import { meanOfOwners } from "./oracles.js";
import { meanOfProducts } from "./product-oracles.js";

const fedadam = { kind: "fedadam", learningRate: 0.1, beta1: 0.9, beta2: 0.99, tau: 0.05 } as const;
const fedyogi = { ...fedadam, kind: "fedyogi" } as const;
const optimizers = [
  { kind: "fedavgm", learningRate: 0.7, momentum: 0.9 },
  { kind: "fedadagrad", learningRate: 0.1, beta1: 0, tau: 0.05 },
  fedadam,
  fedyogi,
] as const satisfies readonly ServerOptimizerSpec[];

const adapter = { rank: 2, targetModules: ["query"] };
const fewerModules = "a client may hold fewer modules, and then sends none of their tensors";
const stepped = {
  bits: "moments and steps are rounded to float32",
  "own-adapter": "the step goes towards the aggregate, not onto it",
  "server-step": "the wrapper brings its own",
  "extreme-values": "second moments are squares, beyond float32 from values of 1e19 on",
};
const sgd = { optimizer: { kind: "sgd", learningRate: 0.1 } } as const;
const scaffold = { training: { ...sgd, controlVariates: true } };
const controlled = { sums: "the controls are sums of their own" };

/** The first step of an optimizer, whose moments begin at zero, towards the mean over the owners. */
function firstStep(optimizer: (typeof optimizers)[number]) {
  return (round: OracleRound): OracleResult => {
    const { tensors } = meanOfOwners(round);
    const moved = [...tensors!].map(([name, aggregated]): [string, Dense] => {
      const from = round.global.get(name)!;
      const values = from.values.map((x, i) => x + stepOf(optimizer, aggregated.values[i]! - x));
      return [name, { ...from, values }];
    });
    return { tensors: new Map(moved) };
  };
}

function stepOf(optimizer: (typeof optimizers)[number], difference: number): number {
  if (optimizer.kind === "fedavgm") return optimizer.learningRate * difference;
  const first = (1 - optimizer.beta1) * difference;
  // Yogi: v - (1 - beta2) D^2 sign(v - D^2) at v = 0.
  const second = optimizer.kind === "fedadagrad" ? difference ** 2 : (1 - optimizer.beta2) * difference ** 2;
  return (optimizer.learningRate * first) / (Math.sqrt(second) + optimizer.tau);
}

/** Rows of methods behind server optimizers and with client options: what a method promises, it promises in a wrapper. */
export const wrapperCases: readonly MethodCase[] = [
  ...optimizers.map((serverOptimizer): MethodCase => {
    const spec = { serverOptimizer };
    const oracle = firstStep(serverOptimizer);
    return { definition: fedavg, label: serverOptimizer.kind, options: {}, spec, except: stepped, oracle };
  }),
  {
    definition: ffaLora,
    label: "fedadam, mixed ranks",
    options: {},
    spec: { serverOptimizer: fedadam },
    ranks: mixedRanks,
    except: { ...stepped, "missing-factor": fewerModules },
    oracle: firstStep(fedadam),
  },
  {
    definition: fedexLora,
    label: "fedadam",
    options: {},
    spec: { serverOptimizer: fedadam },
    except: {
      ...stepped,
      "own-adapter": "what is sent is a step; with the change of the base weights it is exact, as the oracle says",
    },
    oracle: (round) => ({
      weights: new Map([...meanOfProducts(round).weights!].filter(([name]) => round.modules.includes(name))),
    }),
  },
  { definition: fedavg, label: "FedProx", options: {}, spec: { training: { proximalMu: 0.1 } }, oracle: meanOfOwners },
  { definition: fedavg, label: "SCAFFOLD", options: {}, spec: scaffold, except: controlled, oracle: meanOfOwners },
  {
    definition: ffaLora,
    label: "SCAFFOLD, mixed ranks",
    options: {},
    spec: scaffold,
    ranks: mixedRanks,
    except: { ...controlled, "missing-factor": fewerModules },
    oracle: meanOfOwners,
  },
  {
    definition: fedSb,
    label: "SCAFFOLD",
    options: {},
    spec: { ...scaffold, adapter: { ...adapter, variant: "latent" } },
    except: { ...controlled, "missing-factor": fewerModules },
    oracle: meanOfOwners,
  },
  { definition: fedsaLora, label: "SCAFFOLD", options: {}, spec: scaffold, except: controlled, oracle: meanOfOwners },
  {
    definition: fedavg,
    label: "SCAFFOLD, FedProx and fedyogi",
    options: {},
    spec: { serverOptimizer: fedyogi, training: { ...scaffold.training, proximalMu: 0.1 } },
    except: { ...stepped, ...controlled },
    oracle: firstStep(fedyogi),
  },
];
