/** PEFT's state-dict keys of a module's adapter. */
export function loraTensorNames(module: string): { readonly a: string; readonly b: string } {
  const prefix = `base_model.model.${module}`;
  return { a: `${prefix}.lora_A.weight`, b: `${prefix}.lora_B.weight` };
}

/** PEFT's state-dict keys of a module that is trained in full. */
export function savedModuleTensorNames(module: string): { readonly weight: string; readonly bias: string } {
  const prefix = `base_model.model.${module}`;
  return { weight: `${prefix}.weight`, bias: `${prefix}.bias` };
}
