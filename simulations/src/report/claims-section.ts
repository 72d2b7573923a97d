import { claimFigures, type JudgedClaim } from "./claims.js";
import { htmlTable, type HtmlColumn } from "./html.js";

const columns: readonly HtmlColumn<JudgedClaim>[] = [
  { title: "outcome", cell: ({ outcome }) => outcome },
  { title: "claim", cell: ({ says }) => says, isText: true },
  { title: "figures", cell: (claim) => claimFigures(claim), isText: true },
];

/** What the scenario claims, and what was measured; empty where it claims nothing of what was run. */
export function claimsSection(claims: readonly JudgedClaim[]): string {
  if (claims.length === 0) return "";
  const note = "By the means over the seeds; in how many seeds a claim holds is counted with each seed alone.";
  return `<h2>Claims</h2>\n${htmlTable("The scenario’s claims, and what was measured", columns, claims)}\n<p class="note">${note}</p>`;
}
