export { buildStudent, familiesFor, type StudentOptions } from './build-student.ts';
export { findEmbedding } from './find-embedding.ts';
export { type SizeOptions, sizeStudent } from './size-student.ts';
export {
  FAMILIES,
  type Family,
  type SharedEmbedding,
  type Student,
  type StudentExit,
  type StudentForm,
  type StudentReads,
} from './student.ts';
export { studentModel } from './student-model.ts';
