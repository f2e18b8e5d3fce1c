/** The best one-to-one assignment between two sets of equal size. */

/**
 * [n] The column of each row in an assignment that makes the sum of `gains` [n, n] largest. Shortest augmenting paths with potentials (Jonker and
 * Volgenant 1987; the form of the Hungarian method with O(n³) steps): 1000 classes take about a second at worst.
 */
export function assign(gains: Int32Array | Float64Array, n: number): Int32Array {
  // Rows and columns count from 1; column 0 is where each search starts.
  const rowPotential = new Float64Array(n + 1);
  const columnPotential = new Float64Array(n + 1);
  const rowOf = new Int32Array(n + 1);
  const before = new Int32Array(n + 1);
  const least = new Float64Array(n + 1);
  const isDone = new Uint8Array(n + 1);
  for (let row = 1; row <= n; row++) {
    rowOf[0] = row;
    least.fill(Number.POSITIVE_INFINITY);
    isDone.fill(0);
    let column = 0;
    while (rowOf[column] !== 0) {
      isDone[column] = 1;
      const here = rowOf[column]!;
      let step = Number.POSITIVE_INFINITY;
      let next = 0;
      for (let j = 1; j <= n; j++) {
        if (isDone[j]) continue;
        const cost = -gains[(here - 1) * n + j - 1]! - rowPotential[here]! - columnPotential[j]!;
        if (cost < least[j]!) {
          least[j] = cost;
          before[j] = column;
        }
        if (least[j]! < step) {
          step = least[j]!;
          next = j;
        }
      }
      for (let j = 0; j <= n; j++) {
        if (isDone[j]) {
          rowPotential[rowOf[j]!]! += step;
          columnPotential[j]! -= step;
        } else least[j]! -= step;
      }
      column = next;
    }
    for (; column !== 0; column = before[column]!) rowOf[column] = rowOf[before[column]!]!;
  }
  const columnOf = new Int32Array(n);
  for (let j = 1; j <= n; j++) columnOf[rowOf[j]! - 1] = j - 1;
  return columnOf;
}
