/** What files of a package are called that several rooms read or write. */

/** What its tokenizer reads, of a package for texts. */
export const TOKENIZER_FILE = 'tokenizer.json';
/** The trained heads, for `calibrate`; not packed. */
export const HEADS_FILE = 'heads.onnx';
/** For people to look at; not packed either. */
export const REPORT_FILE = 'report.html';
