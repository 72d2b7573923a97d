/** Entry i of `masses` is the mass at loss (first + i) step + offset. */
export interface LatticeMasses {
  readonly masses: Float64Array;
  readonly first: number;
  /** In [0, step); 0 on the upper side. */
  readonly offset: number;
}
