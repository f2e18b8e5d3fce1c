/** Pictures as a film that Chromium's fake camera plays over and over (--use-file-for-fake-video-capture). */
import { writeFileSync } from 'node:fs';

export interface Rgb {
  /** [height, width, 3] */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
}

/** Each of `pictures`, all of one size, for `frames` frames at 10 a second, every pixel `scale` x `scale`, an even number. */
export function writeY4m(file: string, pictures: readonly Rgb[], frames: number, scale: number): void {
  const { width, height } = pictures[0]!;
  const header = `YUV4MPEG2 W${width * scale} H${height * scale} F10:1 Ip A1:1 C420jpeg\n`;
  const parts: Uint8Array[] = [Buffer.from(header)];
  for (const picture of pictures) {
    const planes = planesOf(picture, scale);
    for (let i = 0; i < frames; i++) parts.push(Buffer.from('FRAME\n'), planes);
  }
  writeFileSync(file, Buffer.concat(parts));
}

/** Y at full size, then U and V at half of it, by ITU-R BT.601 with its limited range. */
function planesOf({ data, width, height }: Rgb, scale: number): Buffer {
  const plane = (size: number, shade: (r: number, g: number, b: number) => number) => {
    const values = Buffer.alloc(width * size * height * size);
    for (let y = 0; y < height * size; y++)
      for (let x = 0; x < width * size; x++) {
        const at = (Math.floor(y / size) * width + Math.floor(x / size)) * 3;
        values[y * width * size + x] = Math.round(shade(data[at]!, data[at + 1]!, data[at + 2]!));
      }
    return values;
  };
  return Buffer.concat([
    plane(scale, (r, g, b) => 16 + (65.481 * r + 128.553 * g + 24.966 * b) / 255),
    plane(scale / 2, (r, g, b) => 128 + (-37.797 * r - 74.203 * g + 112 * b) / 255),
    plane(scale / 2, (r, g, b) => 128 + (112 * r - 93.786 * g - 18.214 * b) / 255),
  ]);
}
