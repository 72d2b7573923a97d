const table = makeTable();

/**
 * CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) of the buffers as one sequence of bytes, as an unsigned number.
 * Check value of "123456789": 0xE3069283 (RFC 3720 B.4 lists more).
 */
export function crc32c(...buffers: readonly Uint8Array[]): number {
  let crc = 0xffffffff;
  for (const buffer of buffers) {
    for (const byte of buffer) crc = (crc >>> 8) ^ (table[(crc ^ byte) & 0xff] ?? 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}

function makeTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    return crc;
  });
}
