import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { filesApart } from '../../src/networks/files-apart.ts';

const test = suite('files apart');

test('base names where they differ, else as many folders as it takes', () => {
  assert.equal(filesApart(['/home/me/small.onnx', 'x/large.onnx']), ['small.onnx', 'large.onnx']);
  assert.equal(filesApart(['/m/a/net.onnx', './b/net.onnx', 'c.onnx']), [
    'a/net.onnx',
    'b/net.onnx',
    'c.onnx',
  ]);
  assert.equal(filesApart(['/m/a/x/net.onnx', '/m/b/x/net.onnx']), ['a/x/net.onnx', 'b/x/net.onnx']);
  assert.equal(filesApart(['net.onnx', 'b/net.onnx']), ['net.onnx', 'b/net.onnx']);
  assert.equal(filesApart(['C:\\m\\a\\net.onnx', 'C:\\m\\b\\net.onnx']), ['a/net.onnx', 'b/net.onnx']);
  assert.equal(filesApart(['out-a/', 'out-b']), ['out-a', 'out-b']);
});

test('the same file twice, and what only steps upwards tell apart, keep the base name', () => {
  assert.equal(filesApart(['/m/net.onnx', '/m/x/../net.onnx']), ['net.onnx', 'net.onnx']);
  assert.equal(filesApart(['a/net.onnx', './a/net.onnx', 'b/net.onnx']), [
    'a/net.onnx',
    'a/net.onnx',
    'b/net.onnx',
  ]);
  assert.equal(filesApart(['../net.onnx', 'net.onnx']), ['net.onnx', 'net.onnx']);
});

test.run();
