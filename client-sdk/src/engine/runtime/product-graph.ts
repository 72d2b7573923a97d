import protobuf from "protobufjs/minimal.js";

const FLOAT = 1;
const OPSET = 21;
const IR_VERSION = 10;

/**
 * An ONNX model of one MatMul: a [m, k] times b [k, n] gives c [m, n]. Field numbers are those of onnx.proto3; the graph is
 * too small to bring the compiler's schema into the runtime.
 */
export function productGraph(m: number, k: number, n: number): Uint8Array {
  const node = protobuf.Writer.create()
    .uint32(tag(1, 2))
    .string("a")
    .uint32(tag(1, 2))
    .string("b")
    .uint32(tag(2, 2))
    .string("c")
    .uint32(tag(4, 2))
    .string("MatMul");
  const graph = protobuf.Writer.create()
    .uint32(tag(1, 2))
    .bytes(node.finish())
    .uint32(tag(2, 2))
    .string("product")
    .uint32(tag(11, 2))
    .bytes(valueInfo("a", [m, k]))
    .uint32(tag(11, 2))
    .bytes(valueInfo("b", [k, n]))
    .uint32(tag(12, 2))
    .bytes(valueInfo("c", [m, n]));
  const opset = protobuf.Writer.create().uint32(tag(1, 2)).string("").uint32(tag(2, 0)).int64(OPSET);
  return protobuf.Writer.create()
    .uint32(tag(1, 0))
    .int64(IR_VERSION)
    .uint32(tag(7, 2))
    .bytes(graph.finish())
    .uint32(tag(8, 2))
    .bytes(opset.finish())
    .finish();
}

function valueInfo(name: string, shape: readonly number[]): Uint8Array {
  const dims = protobuf.Writer.create();
  for (const size of shape) dims.uint32(tag(1, 2)).fork().uint32(tag(1, 0)).int64(size).ldelim();
  const tensorType = protobuf.Writer.create().uint32(tag(1, 0)).int32(FLOAT).uint32(tag(2, 2)).bytes(dims.finish());
  const type = protobuf.Writer.create().uint32(tag(1, 2)).bytes(tensorType.finish());
  return protobuf.Writer.create().uint32(tag(1, 2)).string(name).uint32(tag(2, 2)).bytes(type.finish()).finish();
}

/** A protobuf key: field number and wire type (0 varint, 2 length-delimited). */
function tag(field: number, wireType: 0 | 2): number {
  return (field << 3) | wireType;
}
