import {
  codecOf,
  FedLoraError,
  firstLayoutDifference,
  fromFloat32,
  openEncoded,
  toStateDict,
  type PlanInstructions,
  type StateDict,
} from "@fedlora/core";

/**
 * The round's download as float32 tensors of the roles that say `downloaded`; one without a codec as it came. Throws
 * `adapter-invalid` for a file that is not of the codec, `tensor-invalid` for one that nothing encodes to.
 */
export function decodeDownload({ roles, downloadCodec }: PlanInstructions, download: StateDict): StateDict {
  if (downloadCodec === undefined) return download;
  const layout = roles.filter(({ downloaded }) => downloaded).map(({ spec }) => spec);
  const codec = codecOf(downloadCodec);
  const difference = firstLayoutDifference(codec.encodedLayout(layout), download);
  if (difference !== undefined) {
    const { tensor, message } = difference;
    throw new FedLoraError("adapter-invalid", `the download in codec ${downloadCodec}: ${message}`, {
      details: { tensor },
    });
  }
  const values = openEncoded(codec.decoder(layout), download);
  // The decoder uses its memory again for the next tensor.
  return toStateDict(layout.map(({ name, shape }) => [name, fromFloat32(values(name).slice(), shape)]));
}
