/** A process that holds files of a folder of the cache until it is killed: `hold-room.ts folder file…`. */
import { holdRoom } from '../../src/cache/space.ts';

const [folder, ...paths] = process.argv.slice(2);
await holdRoom(folder!, paths, { needed: 0, limit: Number.POSITIVE_INFINITY }, {});
console.log('held');
process.stdin.resume();
