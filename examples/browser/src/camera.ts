/** What a browser says when there are no pictures from a camera, by the error's name, in words that help. */
const REFUSALS: Readonly<Record<string, string>> = {
  NotAllowedError:
    'The camera was refused. Allow it for this page, in the browser’s address bar or settings, and start it again.',
  NotFoundError: 'This device has no camera.',
  NotReadableError: 'The camera does not answer; another program may be using it.',
};

/** A camera's pictures, one at a time: the next is taken when the last is done with, so pictures are dropped and none waits. */
export class Camera {
  readonly #video: HTMLVideoElement;
  readonly #take: (picture: ImageBitmap) => Promise<void>;
  readonly #turned: (isOn: boolean) => void;

  /** `take` is given a picture; `turned` is called whenever the camera goes on or off, by itself too. */
  constructor(
    video: HTMLVideoElement,
    take: (picture: ImageBitmap) => Promise<void>,
    turned: (isOn: boolean) => void,
  ) {
    this.#video = video;
    this.#take = take;
    this.#turned = turned;
  }

  get isOn(): boolean {
    return this.#video.srcObject !== null;
  }

  /** Rejects with an Error that says what to do, when there is no camera to be had. */
  async start(): Promise<void> {
    if (!navigator.mediaDevices)
      throw new Error('Browsers give a camera only to pages that come over https, or from localhost.');
    const stream = await navigator.mediaDevices
      .getUserMedia({ video: { facingMode: 'environment' } })
      .catch(({ name, message }) => {
        throw new Error(REFUSALS[name] ?? `The camera does not start: ${message}`);
      });
    for (const track of stream.getTracks()) track.addEventListener('ended', () => this.stop());
    this.#turned(true);
    this.#video.srcObject = stream;
    this.#watch(stream);
  }

  stop(): void {
    const stream = this.#video.srcObject as MediaStream | null;
    if (!stream) return;
    this.#video.srcObject = null;
    for (const track of stream.getTracks()) track.stop();
    this.#turned(false);
  }

  async #watch(stream: MediaStream): Promise<void> {
    const isOn = () => this.#video.srcObject === stream;
    try {
      // A frame is told of before it plays, too, but there is no picture to be had.
      await this.#video.play();
      while (isOn()) {
        // Not called while the page is hidden: nobody looks.
        await new Promise((shown) => this.#video.requestVideoFrameCallback(shown));
        if (isOn()) await this.#take(await createImageBitmap(this.#video));
      }
    } catch (error) {
      if (!isOn()) return;
      this.stop();
      throw error;
    }
  }
}
