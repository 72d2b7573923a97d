/** A cost that grows with the number of trained layers: forward + depth x layer. */
export interface DepthCosts {
  readonly forward: number;
  readonly layer: number;
}

/**
 * What a graph run costs per token by the number of layers that it trains. A round trains one depth and sees one sum, so
 * the share of a layer's backward pass in a forward pass is kept from the latest forward pass that was measured alone (a
 * probe, an evaluation), and each training measures both anew by it.
 */
export class DepthCost {
  #forward: number | undefined;
  /** A layer's backward pass, in forward passes. */
  #layerShare: number | undefined;

  /** @param layerShare what to go by until something was measured; absent: nothing is said until then */
  constructor(layerShare?: number) {
    this.#layerShare = layerShare;
  }

  /** A forward pass, per token. */
  measuredForward(cost: number): void {
    if (isCost(cost)) this.#forward = cost;
  }

  /**
   * A run that trained `depth` layers, per token.
   *
   * @returns per token; undefined where nothing follows from it
   */
  measuredTraining(cost: number, depth: number): DepthCosts | undefined {
    if (!isCost(cost) || depth < 1) return undefined;
    // A training that seems cheaper than its forward pass alone was measured on a busier or idler machine.
    if (this.#forward !== undefined && cost > this.#forward) this.#layerShare = (cost / this.#forward - 1) / depth;
    if (this.#layerShare === undefined) return undefined;
    const forward = cost / (1 + depth * this.#layerShare);
    return { forward, layer: forward * this.#layerShare };
  }
}

const isCost = (value: number): boolean => Number.isFinite(value) && value > 0;
