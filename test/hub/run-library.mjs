// A job on stdin, its answer on stdout, both JSON: what transformers.js makes of pictures and texts, and what its pipelines say of them.
import { basename, dirname } from 'node:path';
import { text } from 'node:stream/consumers';
import { AutoProcessor, AutoTokenizer, env, pipeline, RawImage } from '@huggingface/transformers';

const { kind, folder, items, ...options } = JSON.parse(await text(process.stdin));
env.allowRemoteModels = false;
env.localModelPath = `${dirname(folder)}/`;
const model = basename(folder);

const answers = {
  /** Of each picture: the tensor that the model is fed. */
  async pixels() {
    const processor = await AutoProcessor.from_pretrained(model);
    const found = [];
    for (const file of items) {
      const { pixel_values } = await processor(await RawImage.read(file));
      const bytes = Buffer.from(
        pixel_values.data.buffer,
        pixel_values.data.byteOffset,
        pixel_values.data.byteLength,
      );
      found.push({ dims: pixel_values.dims, data: bytes.toString('base64') });
    }
    return found;
  },
  /** Of each text, or pair of texts: what the model is fed, padded to the tokenizer's length. */
  async tokens() {
    const tokenizer = await AutoTokenizer.from_pretrained(model);
    return items.map((item) => {
      const [first, pair] = [item].flat();
      const encoded = tokenizer(first, {
        text_pair: pair ?? null,
        padding: 'max_length',
        truncation: true,
        max_length: options.length,
      });
      return Object.fromEntries(
        Object.entries(encoded).map(([name, { data }]) => [name, Array.from(data, Number)]),
      );
    });
  },
  /** Of each picture or text: the score of every class by its name. */
  async classify() {
    const classify = await pipeline(options.task, model);
    const found = [];
    for (const item of items) {
      const scores = await classify(item, { top_k: options.classes });
      found.push(Object.fromEntries([scores].flat().map(({ label, score }) => [label, score])));
    }
    return found;
  },
};

process.stdout.write(JSON.stringify(await answers[kind]()));
