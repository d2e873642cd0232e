// Compiles kernels from AssemblyScript to WebAssembly, as a module of TypeScript.

import asc from 'assemblyscript/asc';

/** Returns the text of ../kernel-bytes.ts. The same source gives the same text on every machine. */
export async function kernelModule(directory: string, source: string): Promise<string> {
  let compiled: Uint8Array | string | undefined;
  const { error, stderr } = await asc.main(
    [
      source,
      '--outFile',
      'kernel.wasm',
      '--enable',
      'simd',
      '-O3',
      '--runtime',
      'stub',
      '--importMemory',
      '--noExportMemory',
      '--baseDir',
      directory,
    ],
    {
      writeFile: (_name, contents) => {
        compiled = contents;
      },
    },
  );
  if (error || !compiled) throw new Error(`${source} does not compile:\n${stderr.toString()}`);
  const base64 = Buffer.from(compiled).toString('base64');
  return `// \`npm run fix\` generates this file from ./assembly/kernel.ts.

/** WebAssembly, as base64. */
export const kernelBytes =
  '${base64}';
`;
}
