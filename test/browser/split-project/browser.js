/** `ask('client' | 'whole', point, batch)`: what the split's client says, which asks the server of the URL, or the whole package, which asks nobody. */
import * as client from 'client';
import * as ort from 'onnxruntime-web/wasm';
import * as whole from 'whole';
import { answersTo, picturesOf } from './answers.ts';

const query = new URLSearchParams(location.search);

async function open() {
  const pixels = new Uint8Array(await (await fetch('pixels.bin')).arrayBuffer());
  const models = {
    client: await client.default.load(ort, { server: query.get('server'), timeoutMs: 120_000 }),
    whole: await whole.default.load(ort),
  };
  return { pictures: picturesOf(pixels, Number(query.get('side'))), models };
}

const opened = open();

window.ask = async (who, at, batch) => {
  const { pictures, models } = await opened;
  return answersTo(models[who], pictures, at, batch);
};
