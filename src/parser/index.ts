/** The ONNX format in both directions. Nothing of a file is lost, and nothing large is copied. */
export { parseModel } from './decode.ts';
export { metadataBytes, serializeChunks, serializeModel } from './encode.ts';
export { tensorsOf, withAllBytes, withBytes } from './external-data.ts';
export { inlineFunctions } from './inline-functions.ts';
export { type LoadedModel, loadModel, readModel } from './load-model.ts';
export { renameExternal } from './rename-external.ts';
export { type SerializedModel, serializeWithData } from './serialize-with-data.ts';
