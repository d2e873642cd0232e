// What ONNX Runtime says, without where in its source it says it.

/** A file and a line of its source, and a function. */
const whereInSource = /\S+\.(?:cc|cpp|cu|h):\d+ (?:\S+ (?=[A-Z])|.*?\)(?: const)?(?: |$))/g;
/** The number and the name of its error, and the file that the message around it names. */
const frame = /\[ONNXRuntimeError\] : \d+ : \w+ : |^Load model from .*? failed: ?/g;

export function plainReason(reason: string): string {
  return reason.replaceAll(frame, '').replaceAll(whereInSource, '').replaceAll(/\s+/g, ' ').trim();
}
