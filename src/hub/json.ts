/** Config files of a model on the Hugging Face hub. */
import { parseJson, readText } from '../data/text.ts';
import { badHubConfig, messageOf } from '../errors/index.ts';

/** What a config file holds, whose fields may be anything. */
export type Config = Readonly<Record<string, unknown>>;

export const isConfig = (value: unknown): value is Config =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What is larger is no size of a picture. */
export const LARGEST_SIZE = 100_000;

/** Whether `value` is a number of pixels, channels or tokens. */
export const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && (value as number) > 0 && (value as number) <= LARGEST_SIZE;

/** Throws `bad-model-config`. */
export async function readConfig(file: string): Promise<Config> {
  const text = await readText(file).catch((error) => {
    throw badHubConfig(file, messageOf(error), 'Check the path, who may read it, and that it is UTF-8.');
  });
  try {
    const config: unknown = parseJson(text);
    if (isConfig(config)) return config;
  } catch (error) {
    throw badHubConfig(
      file,
      `it is not JSON: ${messageOf(error)}`,
      'Is the file complete? Fetch it again. NaN and Infinity, which Python writes, are no JSON either.',
    );
  }
  throw badHubConfig(file, 'it is no JSON object', 'Is it the right file? Fetch it again.');
}
