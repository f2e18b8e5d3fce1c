export { AUGMENTS, type Augment, augmentFor } from './augment.ts';
export { buildStudent, familiesFor, type StudentOptions } from './build-student.ts';
export { EXIT_LOSSES, type ExitLoss } from './exit-losses.ts';
export { findEmbedding } from './find-embedding.ts';
export { TEACHERS, type Teacher, type TeacherMode } from './picture-source.ts';
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
export { type TrainedStudent, trainStudent } from './train-student.ts';
export type { StudentData, StudentProgress, StudentTraining } from './training-plan.ts';
