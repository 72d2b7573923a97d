import { expect, test } from "vitest";
import { cleanBody, cleanSubject } from "./clean.js";

test("list tags leave the subject, the rest stays", () => {
  expect(cleanSubject("Re: [ILUG] STOP THE [Razor-users]  INSANITY")).toBe("Re: STOP THE INSANITY");
});

test("a Mailman footer and all below it go", () => {
  const body =
    "The text.\n\n_______________________________________________\nFork mailing list\nhttp://xent.com/mailman/listinfo/fork\n";
  expect(cleanBody(body)).toBe("The text.");
});

test("an Irish list's footer goes", () => {
  expect(cleanBody("The text.\n-- \nIrish Linux Users' Group: ilug@linux.ie\n")).toBe("The text.");
});

test("a dashed line early in a long mail is no footer", () => {
  const lines = ["Part one.", "----------", ...Array.from({ length: 20 }, (_, index) => `line ${index}`)];
  expect(cleanBody(lines.join("\n"))).toContain("line 19");
});

test("the stamps of a feed go", () => {
  expect(cleanBody("URL: http://example.org/1\nDate: Not supplied\n\nA story.")).toBe("A story.");
});
