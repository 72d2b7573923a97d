/** An opaque array value of the waist; shapes are known when a program is built. */
export interface Value {
  readonly shape: readonly number[];
}
