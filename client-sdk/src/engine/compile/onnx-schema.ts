import type { IField, INamespace } from "protobufjs";

/**
 * The part of ONNX's protobuf schema (onnx.proto, IR version 10) that our graphs use, as a protobufjs descriptor. Field
 * numbers are those of the ONNX specification.
 */
const repeated = (type: string, id: number): IField => ({ rule: "repeated", type, id });
const field = (type: string, id: number): IField => ({ type, id });

export const onnxSchema: INamespace = {
  nested: {
    onnx: {
      nested: {
        ModelProto: {
          fields: {
            irVersion: field("int64", 1),
            producerName: field("string", 2),
            producerVersion: field("string", 3),
            graph: field("GraphProto", 7),
            opsetImport: repeated("OperatorSetIdProto", 8),
          },
        },
        OperatorSetIdProto: { fields: { domain: field("string", 1), version: field("int64", 2) } },
        GraphProto: {
          fields: {
            node: repeated("NodeProto", 1),
            name: field("string", 2),
            initializer: repeated("TensorProto", 5),
            input: repeated("ValueInfoProto", 11),
            output: repeated("ValueInfoProto", 12),
          },
        },
        NodeProto: {
          fields: {
            input: repeated("string", 1),
            output: repeated("string", 2),
            name: field("string", 3),
            opType: field("string", 4),
            attribute: repeated("AttributeProto", 5),
          },
        },
        AttributeProto: {
          fields: {
            name: field("string", 1),
            f: field("float", 2),
            i: field("int64", 3),
            s: field("bytes", 4),
            ints: repeated("int64", 8),
            type: field("int32", 20),
          },
        },
        TensorProto: {
          fields: {
            dims: repeated("int64", 1),
            dataType: field("int32", 2),
            name: field("string", 8),
            rawData: field("bytes", 9),
            externalData: repeated("StringStringEntryProto", 13),
            dataLocation: field("int32", 14),
          },
        },
        StringStringEntryProto: { fields: { key: field("string", 1), value: field("string", 2) } },
        ValueInfoProto: { fields: { name: field("string", 1), type: field("TypeProto", 2) } },
        TypeProto: { fields: { tensorType: field("TensorTypeProto", 1) } },
        TensorTypeProto: { fields: { elemType: field("int32", 1), shape: field("TensorShapeProto", 2) } },
        TensorShapeProto: { fields: { dim: repeated("DimensionProto", 1) } },
        DimensionProto: { fields: { dimValue: field("int64", 1) } },
      },
    },
  },
};

/** TensorProto.DataType */
export const onnxElementType = { float32: 1, int32: 6, int64: 7, bool: 9 } as const;

/** AttributeProto.AttributeType */
export const onnxAttributeType = { float: 1, int: 2, string: 3, ints: 7 } as const;

/** TensorProto.DataLocation */
export const externalDataLocation = 1;
