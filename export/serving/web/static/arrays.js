// Typed arrays by the names of dtypes, and what an exception says.
const TYPES = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, int64: BigInt64Array };

// Numbers as the typed array of a dtype.
export function typed(dtype, values) {
  const Type = TYPES[dtype];
  if (!Type) throw new Error(`A browser has no numbers of type ${dtype}.`);
  if (values instanceof Type) return values;
  return Type.from(values, dtype === "int64" ? (value) => BigInt(value) : undefined);
}

export function decodeBase64(dtype, text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  return new TYPES[dtype](bytes.buffer);
}

// In one line; emscripten throws numbers too.
export function message(error) {
  return String(error?.message ?? error).replace(/\s+/g, " ").slice(0, 300);
}
