// A gRPC client that sends messages as bytes, so they can be wrong.

import { Client, credentials, Metadata, type ServiceError } from '@grpc/grpc-js';
import protobuf from 'protobufjs';

export interface Asked {
  readonly metadata?: Readonly<Record<string, string | readonly string[]>>;
  readonly deadlineMs?: number;
  readonly compression?: 'gzip';
  /** Cancels the request. */
  readonly signal?: AbortSignal;
}

export interface GrpcAnswer {
  /** 0 if the request was answered. */
  readonly code: number;
  readonly details: string;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly bytes: Buffer | undefined;
}

/** Asks one method. The promise never rejects. */
export function askGrpc(
  port: number,
  method: string,
  message: Uint8Array,
  asked: Asked = {},
): Promise<GrpcAnswer> {
  const client = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    'grpc.default_compression_algorithm': asked.compression === 'gzip' ? 2 : 0,
    'grpc.max_send_message_length': -1,
  });
  const metadata = new Metadata();
  for (const [name, given] of Object.entries(asked.metadata ?? {})) {
    for (const value of [given].flat()) metadata.add(name, value);
  }
  const { deadlineMs } = asked;
  const options = deadlineMs === undefined ? {} : { deadline: Date.now() + deadlineMs };
  const asIs = (bytes: Buffer) => bytes;
  return new Promise((resolve) => {
    let sent: Record<string, unknown> = {};
    const call = client.makeUnaryRequest(
      `/inference.GRPCInferenceService/${method}`,
      asIs,
      asIs,
      Buffer.from(message),
      metadata,
      options,
      (error: ServiceError | null, bytes?: Buffer) => {
        client.close();
        const trailers = error?.metadata.getMap() ?? {};
        const { code = 0, details = '' } = error ?? {};
        resolve({ code, details, metadata: { ...sent, ...trailers }, bytes });
      },
    );
    call.on('metadata', (given: Metadata) => {
      sent = given.getMap();
    });
    asked.signal?.addEventListener('abort', () => call.cancel());
  });
}

export interface InferFields {
  readonly model?: string;
  readonly inputs?: readonly {
    readonly name: string;
    readonly datatype: string;
    readonly shape: readonly number[];
    /** An encoded InferTensorContents. */
    readonly contents?: Uint8Array;
  }[];
  readonly outputs?: readonly string[];
  readonly raw?: readonly Uint8Array[];
}

/** Encodes a request to infer. */
export function encodeInfer({ model = '', inputs = [], outputs = [], raw = [] }: InferFields) {
  const writer = protobuf.Writer.create();
  writer.uint32(10).string(model);
  for (const { name, datatype, shape, contents } of inputs) {
    writer.uint32(42).fork();
    writer.uint32(10).string(name).uint32(18).string(datatype);
    writer.uint32(26).fork();
    for (const size of shape) writer.int64(size);
    writer.ldelim();
    if (contents) writer.uint32(42).bytes(contents);
    writer.ldelim();
  }
  for (const name of outputs) writer.uint32(50).fork().uint32(10).string(name).ldelim();
  for (const bytes of raw) writer.uint32(58).bytes(bytes);
  return writer.finish();
}
