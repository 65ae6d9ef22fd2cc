// Runs a .tflite in LiteRT.js on inputs from a file, and writes every output to a file.
//
//     node litert_reader.mjs MODEL.tflite INPUTS.bin FOLDER
//
// INPUTS.bin holds one input tensor after another, in the model's own type. FOLDER gets NAME.bin,
// that output of all runs, one after another. What the model says of its tensors goes to stdout.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import vm from 'node:vm';

const ARRAYS = { uint8: Uint8Array, int32: Int32Array, float32: Float32Array };

const require = createRequire(import.meta.url);
const wasm = path.join(path.dirname(require.resolve('@litertjs/core')), '..', 'wasm', path.sep);

// The library is made for pages and their workers. What it asks of a worker is little: a global
// `self`, and scripts that are loaded into it; they find the rest by Node's own names.
Object.assign(globalThis, {
  self: globalThis,
  require,
  __dirname: wasm,
  importScripts: (script) =>
    vm.runInThisContext(fs.readFileSync(script, 'utf8'), { filename: script }),
});

const [modelPath, inputsPath, folder] = process.argv.slice(2);
const { loadLiteRt, loadAndCompile, Tensor } = await import('@litertjs/core');
await loadLiteRt(wasm);
const model = await loadAndCompile(new Uint8Array(fs.readFileSync(modelPath)), {
  accelerator: 'wasm',
});

const [image] = model.getInputDetails();
const size = image.shape.reduce((product, side) => product * side, 1);
const bytes = fs.readFileSync(inputsPath);
const values = new ARRAYS[image.dtype](
  bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
);
const made = Object.fromEntries(model.getOutputDetails().map(({ name }) => [name, []]));
for (let start = 0; start < values.length; start += size) {
  const input = new Tensor(values.slice(start, start + size), Array.from(image.shape));
  const outputs = await model.run({ [image.name]: input });
  for (const [name, tensor] of Object.entries(outputs)) {
    made[name].push(Buffer.from((await tensor.data()).slice().buffer));
    tensor.delete();
  }
  input.delete();
}
for (const [name, parts] of Object.entries(made)) {
  fs.writeFileSync(path.join(folder, `${name}.bin`), Buffer.concat(parts));
}

const said = ({ name, dtype, shape }) => ({ name, dtype, shape: Array.from(shape) });
console.log(
  JSON.stringify({
    inputs: model.getInputDetails().map(said),
    outputs: model.getOutputDetails().map(said),
  }),
);
