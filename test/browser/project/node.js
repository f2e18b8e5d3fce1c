/** Takes pixels that were decoded before: Node has no decoder of its own. */
import { readFileSync } from 'node:fs';
import * as ort from 'onnxruntime-node';
import { answersTo } from './answers.js';

const { files, width, height } = JSON.parse(readFileSync('public/pictures.json', 'utf8'));
const rgba = readFileSync('pixels.rgba');
const size = width * height * 4;
const pictures = files.map((_, i) => ({ data: rgba.subarray(i * size, (i + 1) * size), width, height }));
console.log(JSON.stringify(await answersTo(pictures, ort)));
