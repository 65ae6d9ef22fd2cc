// Load a GLB in three.js in headless Chromium, take a picture, and print what three.js found.
//
//   NODE_PATH=<folder>/node_modules node tests/viewer/three_viewer.cjs FILE.glb OUT.png [scene|grid] [width]
//
// `grid` lays the nodes of an exemplar pack out in rows. Needs npm's three and playwright-core, and a
// Chromium (CHROMIUM names another than the one on the path).
const fs = require('fs');
const http = require('http');
const path = require('path');
const {execSync} = require('child_process');
const {chromium} = require('playwright-core');

const [glb, png, layout = 'scene', width = '1200'] = process.argv.slice(2);
const three = path.join(path.dirname(require.resolve('three')), '..');
const browserPath = process.env.CHROMIUM || execSync('command -v chromium || command -v google-chrome').toString().trim();

const page = `<!doctype html><body style="margin:0"><script type="importmap">
{"imports": {"three": "/three/build/three.module.js", "three/addons/": "/three/examples/jsm/"}}
</script><script type="module">
import * as THREE from 'three';
import {GLTFLoader} from 'three/addons/loaders/GLTFLoader.js';
import {MeshoptDecoder} from 'three/addons/libs/meshopt_decoder.module.js';

const width = ${Number(width)}, grid = ${layout === 'grid'};
try {
  const started = performance.now();
  const gltf = await new GLTFLoader().setMeshoptDecoder(MeshoptDecoder).loadAsync('/file.glb');
  const load_ms = performance.now() - started;
  const scene = new THREE.Scene();
  scene.background = new THREE.Color(0xffffff);
  scene.add(new THREE.HemisphereLight(0xffffff, 0x666666, 2.2));
  const sun = new THREE.DirectionalLight(0xffffff, 2.5);
  sun.position.set(-2, 3, -2.5);
  scene.add(sun, sun.target);
  const found = {load_ms, meshes: 0, triangles: 0, vertices: 0, names: [], extras: gltf.asset.extras};
  gltf.scene.traverse(node => {
    if (!node.isMesh) return;
    found.meshes += 1;
    found.triangles += node.geometry.index.count / 3;
    found.vertices += node.geometry.attributes.position.count;
    found.names.push(node.userData.name);
  });
  let camera, height;
  if (grid) {
    const nodes = [...gltf.scene.children], columns = Math.ceil(Math.sqrt(nodes.length * 1.6));
    const rows = Math.ceil(nodes.length / columns);
    nodes.forEach((node, i) => {
      const cell = new THREE.Group();
      node.position.set(0, 0, 0);
      cell.add(node);
      cell.rotation.set(0.35, Math.PI + 0.6, 0, 'XYZ');  // exemplars face -z
      cell.scale.setScalar(0.62);
      cell.position.set(i % columns, -Math.floor(i / columns), 0);
      scene.add(cell);
    });
    camera = new THREE.OrthographicCamera(-0.5, columns - 0.5, 0.5, 0.5 - rows, -50, 50);
    height = Math.round(width * rows / columns);
    sun.position.set(-2, 3, 4);
  } else {
    scene.add(gltf.scene);
    const box = new THREE.Box3().setFromObject(gltf.scene, true);
    const size = box.getSize(new THREE.Vector3()).length(), middle = box.getCenter(new THREE.Vector3());
    found.box = [box.min.toArray(), box.max.toArray()];
    height = Math.round(width * 0.66);
    camera = new THREE.PerspectiveCamera(40, width / height, size / 100, size * 10);
    camera.position.copy(middle).add(new THREE.Vector3(0.35, 0.45, 1).multiplyScalar(size));
    camera.lookAt(middle);
    sun.position.set(2, 4, 3);
  }
  const renderer = new THREE.WebGLRenderer({antialias: true, preserveDrawingBuffer: true});
  renderer.setSize(width, height);
  document.body.append(renderer.domElement);
  renderer.render(scene, camera);
  found.drawn_triangles = renderer.info.render.triangles;
  const gl = renderer.getContext(), pixels = new Uint8Array(4 * width * height);
  gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, pixels);
  let drawn = 0;
  for (let i = 0; i < pixels.length; i += 4) drawn += pixels[i] + pixels[i + 1] + pixels[i + 2] < 760;
  found.drawn_share = drawn / (width * height);
  found.height = height;
  window.found = found;
} catch (error) {
  window.found = {error: String(error)};
}
</script>`;

const server = http.createServer((request, response) => {
  const url = request.url.split('?')[0];
  if (url === '/favicon.ico') return response.writeHead(204).end();
  if (url === '/') return response.setHeader('content-type', 'text/html').end(page);
  const file = url === '/file.glb' ? glb : path.join(three, path.normalize(url.replace(/^\/three/, '')));
  if (!fs.existsSync(file)) return response.writeHead(404).end();
  response.setHeader('content-type', file.endsWith('.js') ? 'text/javascript' : 'model/gltf-binary');
  response.end(fs.readFileSync(file));
});

server.listen(0, '127.0.0.1', async () => {
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: ['--no-sandbox', '--use-angle=swiftshader', '--enable-unsafe-swiftshader'],
  });
  const logged = [];
  const tab = await browser.newPage({viewport: {width: Number(width), height: 800}});
  tab.on('console', message => message.type() === 'error' && logged.push(message.text()));
  tab.on('pageerror', error => logged.push(String(error)));
  await tab.goto(`http://127.0.0.1:${server.address().port}/`);
  const found = await tab.waitForFunction('window.found', null, {timeout: 180000}).then(handle => handle.jsonValue());
  if (!found.error) await tab.locator('canvas').screenshot({path: png, timeout: 120000});
  console.log(JSON.stringify({...found, logged}));
  await browser.close();
  server.close();
  process.exitCode = found.error ? 1 : 0;
});
