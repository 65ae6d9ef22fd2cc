"""GLSL of the renderer: one string per stage; `renderer.py` says which pass runs which."""

# The same words in every stage that draws surfaces: depths must agree to the last bit.
_PLACE = """
  vec4 level_position = level_from_mesh * vec4(in_position, 1.0);
  gl_Position = clip_from_level * level_position;
"""

_SURFACE_INPUT = """#version 330
in vec3 in_position; in vec3 in_normal; in vec4 in_color; invariant gl_Position;
uniform mat4 clip_from_level, level_from_mesh; uniform mat3 normal_matrix;
"""

DEPTH_VERTEX = (
    """#version 330
in vec3 in_position; uniform mat4 clip_from_level, level_from_mesh; invariant gl_Position;
void main() {"""
    + _PLACE
    + "}\n"
)

LIGHTS_DEPTH_VERTEX = """#version 330
in vec3 in_position; uniform mat4 clip_from_level_lights[LIGHTS], level_from_mesh;
uniform int tiles;
void main() {
  // A light sees all casters, so none reaches over the edge of its tile.
  vec4 p = clip_from_level_lights[gl_InstanceID] * (level_from_mesh * vec4(in_position, 1.0));
  vec2 tile = vec2(gl_InstanceID % tiles, gl_InstanceID / tiles);
  gl_Position = vec4((p.xy*.5 + .5 + tile)*2./float(tiles) - 1., p.z, 1.);
}
"""

DEPTH_FRAGMENT = """#version 330
void main() {}
"""

MASK_FRAGMENT = """#version 330
out vec4 color; void main() { color = vec4(1.0); }
"""

SCREEN_VERTEX = """#version 330
in vec2 in_position; out vec2 uv;
void main() { uv = in_position * 0.5 + 0.5; gl_Position = vec4(in_position, 1.0, 1.0); }
"""

GEOMETRY_VERTEX = (
    _SURFACE_INPUT
    + """
out vec3 position, normal;
void main() {"""
    + _PLACE
    + """
  position = level_position.xyz; normal = normal_matrix * in_normal;
}
"""
)

# Turns the normals of sheets that are seen from behind, but not those that smoothing tilted a
# little away from the eye along silhouettes.
_SEEN = """
vec3 seen_from(vec3 n, vec3 v) { return dot(n, v) < -.2 ? -n : n; }
"""

GEOMETRY_FRAGMENT = (
    """#version 330
in vec3 position, normal; uniform float surface_id; uniform vec3 eye;
layout(location=0) out vec4 out_position; layout(location=1) out vec4 out_normal;
"""
    + _SEEN
    + """void main() {
  vec3 n = normalize(normal);
  out_position = vec4(position, surface_id);
  out_normal = vec4(seen_from(n, normalize(eye - position)), surface_id);
}
"""
)

_ENVIRONMENT = """
uniform vec3 harmonics[9]; uniform sampler2D environment; uniform float turn;
vec3 irradiance(vec3 n) {
  return max(vec3(0), .886227*harmonics[0]
    + 1.023328*(n.y*harmonics[1] + n.z*harmonics[2] + n.x*harmonics[3])
    + .785398*(1.092548*(n.x*n.y*harmonics[4] + n.y*n.z*harmonics[5] + n.x*n.z*harmonics[7])
      + .315392*(3.*n.z*n.z - 1.)*harmonics[6] + .546274*(n.x*n.x - n.y*n.y)*harmonics[8]));
}
vec3 environment_at(sampler2D map, vec3 d, float level) {
  d = vec3(cos(turn)*d.x - sin(turn)*d.z, d.y, cos(turn)*d.z + sin(turn)*d.x);
  float u = atan(d.x, -d.z) / 6.2831853;
  return textureLod(map, vec2(u < 0. ? u + 1. : u, acos(clamp(d.y,-1.,1.)) / 3.1415927), level).rgb;
}
"""

_DISPLAY = """
uniform vec3 exposure; uniform float gamma;
vec3 display(vec3 x) {
  x *= exposure;
  return pow(clamp((x*(2.51*x + .03)) / (x*(2.43*x + .59) + .14), 0., 1.), vec3(gamma));
}
"""

# Two textures go from pass to pass: light of the environment (rgb) and how open the place is (a);
# and share of the sun (r), number of the surface over 255 (g), x and y of its normal (ba).
LIGHT_FRAGMENT = (
    """#version 330
layout(location=0) out vec4 out_light; layout(location=1) out vec4 out_sun;
uniform sampler2D positions, normals, noise, light_depths, sun_depth;
uniform int tiles, light_taps, sun_taps; uniform float reach, texel, softness;
uniform mat4 clip_from_level_lights[LIGHTS];
uniform vec3 light_directions[LIGHTS], light_irradiance[LIGHTS];
uniform mat4 clip_from_level_sun; uniform vec3 sun_direction, bounce;
const mat2 GOLDEN = mat2(-.73737, .67549, -.67549, -.73737);
"""
    + _ENVIRONMENT
    + """
// The numbers of taps are uniforms so that the loops stay loops: a loop that no pixel of a block
// enters costs nothing in software, where both sides of an `if` are run.
float sun_visibility(vec3 p, vec3 n, mat2 spin) {
  vec3 q = (clip_from_level_sun * vec4(p + n*.004*reach, 1.)).xyz*.5 + .5;
  bool inside = q.x >= 0. && q.y >= 0. && q.x <= 1. && q.y <= 1.;
  bool faces = dot(n, sun_direction) > 0.;
  q.z = min(q.z, .9985) - .0012;
  int last = textureSize(sun_depth, 0).x - 1;
  float side = float(last + 1), sum = 0., count = 0.;
  vec2 t = spin*vec2(1, 0), c = q.xy*side;
  int search = inside && faces ? sun_taps : 0;
  for (int i = 0; i < search; i++) {
    t = GOLDEN*t;
    vec2 at = c + t*(sqrt((float(i) + .5)/float(sun_taps))*softness*side);
    float z = texelFetch(sun_depth, clamp(ivec2(at), ivec2(0), ivec2(last)), 0).r;
    float blocks = step(z, q.z); sum += z*blocks; count += blocks;
  }
  float width = clamp((q.z - sum/max(count, 1.))*8.*softness, texel, softness*2.)*side, lit = 0.;
  int taps = count > 0. ? sun_taps : 0;
  for (int i = 0; i < taps; i++) {
    t = GOLDEN*t;
    vec2 at = c + t*(sqrt((float(i) + .5)/float(sun_taps))*width);
    lit += step(q.z, texelFetch(sun_depth, clamp(ivec2(at), ivec2(0), ivec2(last)), 0).r);
  }
  return faces ? (count > 0. ? lit/float(sun_taps) : 1.) : 0.;
}
struct Gathered { vec3 light; float seen, total; };
void add_light(int i, vec3 p, vec3 n, mat2 spin, float dither, inout Gathered sum) {
  vec3 toward = light_irradiance[i]*max(dot(n, light_directions[i]), 0.);
  vec3 q = (clip_from_level_lights[i] * vec4(p + n*.01*reach, 1.)).xyz*.5 + .5;
  bool inside = q.x >= 0. && q.y >= 0. && q.x <= 1. && q.y <= 1.;
  float weight = dot(toward, vec3(.333)), z = min(q.z, 1.) - .003, visible = inside ? 0. : 1.;
  float side = float(textureSize(light_depths, 0).x)/float(tiles);
  int taps = weight > 0. && inside ? light_taps : 0;
  vec2 t = spin*vec2(cos(2.4*float(i)), sin(2.4*float(i)));
  for (int k = 0; k < taps; k++) {
    float radius = .014*sqrt((float(k) + dither)/float(light_taps));
    vec2 at = (clamp(q.xy + t*radius, .003, .997) + vec2(i % tiles, i / tiles))*side;
    visible += step(z, texelFetch(light_depths, ivec2(at), 0).r)/float(light_taps);
    t = GOLDEN*t;
  }
  sum.seen += weight*visible; sum.total += weight; sum.light += toward*visible;
}
void main() {
  vec4 g = texelFetch(positions, ivec2(gl_FragCoord.xy), 0);
  vec3 n = texelFetch(normals, ivec2(gl_FragCoord.xy), 0).xyz, p = g.xyz;
  bool covered = g.w > .5;
  vec2 dither = texelFetch(noise, ivec2(gl_FragCoord.xy) & 3, 0).rg;
  float angle = dither.x*6.2832;
  mat2 spin = mat2(cos(angle), sin(angle), -sin(angle), cos(angle));
  out_sun = vec4(covered ? sun_visibility(p, n, spin) : 1., g.w/255., n.xy*.5 + .5);
  Gathered sum = Gathered(vec3(0), 0., 0.);
ADD_LIGHTS
  float open = sum.total > 1e-3 ? sum.seen/sum.total : .4;
  sum.light += irradiance(n)*(1. - open)*.12 + bounce*(.5 - .5*n.y)*mix(.3, 1., open);
  out_light = covered ? vec4(sum.light, open) : vec4(1.);
}
"""
)

BLUR_FRAGMENT = """#version 330
layout(location=0) out vec4 out_light; layout(location=1) out vec4 out_sun;
uniform sampler2D light, sun; uniform ivec2 along;
void main() {
  ivec2 c = ivec2(gl_FragCoord.xy), last = textureSize(light, 0) - 1;
  vec4 g = texelFetch(sun, c, 0), a = vec4(0); float b = 0., total = 0.;
  for (int i = -2; i < 2; i++) {
    ivec2 q = clamp(c + i*along, ivec2(0), last); vec4 h = texelFetch(sun, q, 0), d = abs(h - g);
    float w = d.g < .002 ? max(.25, 1. - 1.5*(d.b + d.a)) : 1e-5;
    a += w*texelFetch(light, q, 0); b += w*h.r; total += w;
  }
  out_light = a/total; out_sun = vec4(b/total, g.gba);
}
"""

# One array per surface, `shading.packed_look`: a uniform costs the caller more than the shader.
_LOOK = """
uniform vec4 look[8];
#define tint look[4].rgb
#define second look[5].rgb
#define extent look[6].xyz
#define own_color look[0].w
#define layer look[1].w
#define repeats look[2].w
#define recolor look[3].w
#define roughness look[4].w
#define metallic look[5].w
#define opacity look[6].w
#define glow look[7].x
#define surface_id look[7].y
"""

SHADE_VERTEX = (
    _SURFACE_INPUT
    + _LOOK
    + """
out vec3 position, normal, place, flat_normal, base;
void main() {"""
    + _PLACE
    + """
  position = level_position.xyz; normal = normal_matrix * in_normal;
  place = in_position * extent; flat_normal = in_normal / extent;
  vec3 own = pow(in_color.rgb, vec3(2.2))*tint;
  base = mix(look[int(in_color.a*255. + .5) & 3].rgb, own, own_color);
}
"""
)

SHADE_FRAGMENT = (
    """#version 330
in vec3 position, normal, place, flat_normal, base; out vec4 out_color;
uniform vec3 eye, bounce, strength, sun_direction, sun_irradiance; uniform vec2 screen;
uniform int suns, neighbours;
uniform sampler2DArray layers; uniform sampler2D light, sun, photo;
"""
    + _LOOK
    + _SEEN
    + _ENVIRONMENT
    + _DISPLAY
    + """
vec2 surface_uv() {
  vec3 a = abs(flat_normal), p = place;
  return a.y > max(a.x, a.z) ? p.xz : (a.x > a.z ? p.zy : p.xy);
}
vec3 base_color() {
#if SURFACE == 2
  return pow(texture(photo, place.xy/extent.xy + .5).rgb, vec3(2.2));
#elif SURFACE == 0
  return base;
#endif
  vec3 t = texture(layers, vec3(surface_uv()*repeats, layer)).rgb;
  t *= t;
  return mix(base*t*1.4, mix(base, second, sqrt(dot(t, vec3(.333)))), recolor);
}
// At silhouettes a sample may belong to this surface while the pixel's centre does not.
ivec2 light_pixel() {
  ivec2 c = ivec2(gl_FragCoord.xy), found = c;
  int tries = abs(texelFetch(sun, c, 0).g*255. - surface_id) < .5 ? 0 : neighbours;
  for (int k = 0; k < tries; k++) {
    ivec2 q = c + ((k & 1)*2 - 1)*ivec2(k >> 1, 1 - (k >> 1));
    if (abs(texelFetch(sun, q, 0).g*255. - surface_id) < .5) found = q;
  }
  return found;
}
void main() {
  vec3 v = normalize(eye - position), n = seen_from(normalize(normal), v);
  ivec2 c = light_pixel();
  vec4 l = texelFetch(light, c, 0); float lit = texelFetch(sun, c, 0).r, open = l.a;
  float cosine = max(dot(n, sun_direction), 0.);
#if SURFACE == 3
  float env = dot(irradiance(n), vec3(.333)), direct = dot(sun_irradiance, vec3(.333))*cosine;
  float kept = (env*open + direct*lit)/max(env + direct, 1e-4);
  out_color = vec4(texture(photo, gl_FragCoord.xy/screen).rgb*pow(kept, .6), 1.); return;
#endif
  vec3 albedo = clamp(base_color(), 0.01, .92); float a = max(roughness*roughness, .03);
  vec3 f0 = mix(vec3(.04), albedo, metallic), diffuse = albedo*(1. - metallic)/3.14159;
  float nv = max(dot(n, v), 1e-3);
  vec3 radiance = diffuse*(l.rgb + sun_irradiance*cosine*lit), shine = vec3(0);
  for (int i = 0; i < suns; i++) {
    vec3 h = normalize(sun_direction + v); float nh = max(dot(n, h), 0.);
    float d = nh*nh*(a*a - 1.) + 1., miss = 1. - max(dot(h, v), 0.), miss2 = miss*miss;
    float g = .5/(cosine*sqrt(nv*nv*(1. - a*a) + a*a)
      + nv*sqrt(cosine*cosine*(1. - a*a) + a*a) + 1e-4);
    vec3 fresnel = f0 + (1. - f0)*miss2*miss2*miss;
    shine += sun_irradiance*cosine*lit*fresnel*min(a*a/(3.14159*d*d), 60.)*g;
  }
  vec3 r = reflect(-v, n);
  float clear = clamp(pow(nv + open, exp2(-16.*a - 1.)) - 1. + open, 0., 1.);
  vec4 fit = roughness*vec4(-1., -.0275, -.572, .022) + vec4(1., .0425, 1.04, -.04);
  float fit_a = min(fit.x*fit.x, exp2(-9.28*nv))*fit.x + fit.y;
  vec2 ab = vec2(-1.04, 1.04)*fit_a + fit.zw;
  vec3 mirrored = environment_at(environment, r, roughness*5.)*strength;
  mirrored = mix(bounce*.32, mirrored, smoothstep(-.15, .1, r.y));
  shine += mirrored*(f0*ab.x + ab.y)*clear;
  // Glass: what is behind shows through where the surface reflects little.
  float cover = mix(opacity, 1., opacity < 1. ? pow(1. - nv, 3.) : 0.);
  float glass = step(opacity, .99);
  radiance = mix(radiance, albedo, glow)*mix(1., cover, glass);
  out_color.rgb = display(radiance + shine);
  out_color.a = clamp(cover + glass*dot(shine, vec3(.2)), 0., 1.);
}
"""
)

BACKDROP_FRAGMENT = (
    """#version 330
in vec2 uv; out vec4 out_color; uniform mat4 level_from_clip; uniform vec3 eye;
uniform float blur, photo_backdrop; uniform sampler2D backdrop, photo;
"""
    + _ENVIRONMENT
    + _DISPLAY
    + """
void main() {
  if (photo_backdrop > .5) { out_color = vec4(texture(photo, uv).rgb, 1.); return; }
  vec4 far = level_from_clip * vec4(uv*2. - 1., 1., 1.);
  vec3 d = normalize(far.xyz/far.w - eye);
  out_color = vec4(display(environment_at(backdrop, d, blur)), 1.);
}
"""
)


def light_fragment(lights: int) -> str:
    """Return the light pass for so many lights.

    One call a light, not a loop: with known indices, what belongs to a light is read once instead
    of once a pixel.
    """
    calls = [f"  add_light({i}, p, n, spin, dither.y, sum);" for i in range(lights)]
    return LIGHT_FRAGMENT.replace("LIGHTS]", f"{lights}]").replace("ADD_LIGHTS", "\n".join(calls))
