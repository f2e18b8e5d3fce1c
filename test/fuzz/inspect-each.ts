/** One process that shows files to ONNX Runtime, as `inspect` does. */
import { inspect } from '../../src/commands/inspect.ts';
import { type Batch, readEach } from './try-each.ts';
import { whenAsked } from './watched.ts';

whenAsked<Batch>((batch) => readEach(batch, (model) => inspect({ model, session: { threads: 1 } })));
