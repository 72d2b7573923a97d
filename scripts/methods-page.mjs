// The table of methods in docs/methods, from the methods' own declarations.
const choices = [
  ["Few clients, little skew, or a baseline", "[fedavg](fedavg.md)"],
  ["The mean of the models, not of the factors, and a base that may be edited", "[fedex-lora](fedex-lora.md)"],
  ["Least traffic, any rank of the base, noise for privacy", "[fed-sb](fed-sb.md)"],
  ["Privacy noise or asynchrony with plain LoRA", "[ffa-lora](ffa-lora.md), [rolora](rolora.md)"],
  ["Each client its own model", "[fedsa-lora](fedsa-lora.md)"],
  [
    "Devices of different strength",
    "[legend](legend.md), [hetlora](hetlora.md), [flexlora](flexlora.md), [flora](flora.md)",
  ],
  ["Thin links", "[flasc](flasc.md), or a [codec](../reference/codecs.md) with another method"],
  ["Clients that may lie", "[krum](krum.md), [trimmed-mean](trimmed-mean.md) and the other robust rules"],
  ["Clients that must not be left behind", "[q-ffl](q-ffl.md)"],
];

export function methodsPage(rows) {
  const yes = (value) => (value ? "yes" : "no");
  const number = (value) => value.toLocaleString("en-US");
  const each = (values) => [...new Set(values.map(number))].join(" / ");
  const table = (header, lines) =>
    [header, header.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const declared = table(
    [
      "method",
      "exact",
      "needs to see",
      "ranks of clients",
      "noise enters",
      "personal",
      "secure sums",
      "edits the base",
      "stale updates",
      "client keeps",
    ],
    rows.map(({ name, capabilities: c, secureSums, clientState }) => [
      `[${name}](${name}.md)`,
      yes(c.exact),
      c.sees,
      c.ranks,
      c.noise === "linear" ? "linearly" : "as products",
      yes(c.personal),
      yes(secureSums),
      yes(c.editsBase),
      yes(c.toleratesStale),
      clientState.join(", ") || "nothing",
    ]),
  );
  const traffic = table(
    ["method", "up", "down", "once", "base delta down"],
    rows.map(({ name, rounds, valuesOnce, valuesBaseDelta }) => [
      name,
      each(rounds.map(({ valuesUp }) => valuesUp)),
      each(rounds.map(({ valuesDown }) => valuesDown)),
      valuesOnce === 0 ? "" : number(valuesOnce),
      valuesBaseDelta === 0 ? "" : number(valuesBaseDelta),
    ]),
  );
  return `# Aggregation methods

Made from the methods' declarations by \`node scripts/gen-reference.mjs\`; \`fedlora methods\` prints the same for your model.

## Which one

${table(["you have", "look at"], choices)}

Server optimizers, FedProx and SCAFFOLD go with most of them: [wrappers](wrappers.md).

## What each declares

${declared}

_Exact_: the new model is the mean of the clients' models. _Needs to see_: the weighted sum of the updates, several sums, or
each update by itself. _Noise enters_ as products where two factors that travel are multiplied with each other.

## What travels

Values per client and round for RoBERTa-large, query and value, rank 8, 10 contributors, without heads; two numbers where
rounds alternate. Four bytes each in f32. _Once_: by hash, frozen factors and what a client begins its own state with. Sparse methods send a share of these.

${traffic}
`;
}
