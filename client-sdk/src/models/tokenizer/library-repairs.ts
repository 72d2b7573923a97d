/** CJK ideographs beyond the basic plane, as BERT's tokenizer lists them. */
const astralIdeograph = /[\u{20000}-\u{2A6DF}\u{2A700}-\u{2CEAF}\u{2F800}-\u{2FA1F}]/gu;

/**
 * Where @huggingface/tokenizers 0.2.0 normalizes otherwise than the Rust library, a text is changed beforehand so that
 * the ids agree (testdata/tokenizers holds the cases):
 *
 * * Rust lower-cases character by character; JavaScript turns a capital sigma at a word's end into the final sigma.
 * * BERT's tokenizer puts spaces round every ideograph; the library sees only those of the basic plane.
 *
 * @param normalizer `normalizer` of tokenizer.json
 */
export function createLibraryRepairs(normalizer: unknown): (text: string) => string {
  const parts = flatten(normalizer);
  const lowercases = parts.some(({ type, lowercase }) => type === "Lowercase" || (isBert(type) && lowercase === true));
  const spacesIdeographs = parts.some((part) => isBert(part.type) && part["handle_chinese_chars"] === true);
  return (text) => {
    const lowered = lowercases ? text.replaceAll("Σ", "σ") : text;
    return spacesIdeographs ? lowered.replace(astralIdeograph, " $& ") : lowered;
  };
}

type NormalizerPart = Readonly<Record<string, unknown>> & { readonly type?: unknown; readonly lowercase?: unknown };

const isBert = (type: unknown): boolean => type === "BertNormalizer";

/** The steps of a normalizer: those of a Sequence, or itself. */
function flatten(normalizer: unknown): NormalizerPart[] {
  if (typeof normalizer !== "object" || normalizer === null) return [];
  const part = normalizer as NormalizerPart;
  const steps = part["normalizers"];
  return Array.isArray(steps) ? (steps as unknown[]).flatMap(flatten) : [part];
}
