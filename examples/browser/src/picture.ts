import { preprocessing } from './package.ts';

/**
 * The pixels of an image file, with no colour management, as the compiler reads them. A package that was compiled
 * without --resize takes one size only: for it, the picture is scaled and its centre cropped.
 */
export async function readPicture(file: Blob): Promise<ImageData> {
  const bitmap = await createImageBitmap(file, { colorSpaceConversion: 'none' });
  const { width, height } = preprocessing.resize === null ? preprocessing : bitmap;
  const scale = Math.max(width / bitmap.width, height / bitmap.height);
  const across = bitmap.width * scale;
  const down = bitmap.height * scale;
  const context = new OffscreenCanvas(width, height).getContext('2d')!;
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, (width - across) / 2, (height - down) / 2, across, down);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}
