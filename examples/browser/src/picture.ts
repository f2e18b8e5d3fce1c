import { preprocessing } from './package.ts';

/**
 * The pixels of an image file, with no colour management, as the compiler reads them, or of a camera's picture, which is closed. For
 * a package that was compiled without --resize, and so takes one size only, the picture is scaled and its centre cropped.
 */
export async function readPicture(picture: Blob | ImageBitmap): Promise<ImageData> {
  const bitmap =
    picture instanceof Blob ? await createImageBitmap(picture, { colorSpaceConversion: 'none' }) : picture;
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
