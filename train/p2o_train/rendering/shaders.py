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

GEOMETRY_FRAGMENT = """#version 330
in vec3 position, normal; uniform float surface_id; uniform vec3 eye;
layout(location=0) out vec4 out_position; layout(location=1) out vec4 out_normal;
void main() {
  vec3 n = normalize(normal);
  out_position = vec4(position, surface_id);
  out_normal = vec4(dot(n, eye - position) < 0.0 ? -n : n, 1.0);
}
"""

_ENVIRONMENT = """
const vec2 DISC[16] = vec2[](vec2(-.94,-.40), vec2(.95,-.77), vec2(-.09,-.93), vec2(.34,.29),
  vec2(-.92,.46), vec2(-.82,-.88), vec2(-.38,.28), vec2(.97,.76), vec2(.44,-.98), vec2(.54,-.47),
  vec2(-.26,-.42), vec2(.79,.19), vec2(-.24,1.), vec2(-.81,.91), vec2(.2,.79), vec2(.14,-.14));
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

LIGHT_FRAGMENT = (
    """#version 330
in vec2 uv; layout(location=0) out vec4 out_light; layout(location=1) out vec4 out_sun;
uniform sampler2D positions, normals, noise, light_depths, sun_depth;
uniform int lights, tiles; uniform float reach, texel, softness;
uniform mat4 clip_from_level_lights[LIGHTS];
uniform vec3 light_directions[LIGHTS], light_irradiance[LIGHTS];
uniform mat4 clip_from_level_sun; uniform vec3 sun_direction, bounce;
"""
    + _ENVIRONMENT
    + """
float sun_visibility(vec3 p, vec3 n, mat2 spin) {
  if (dot(n, sun_direction) <= 0.) return 0.;
  vec3 q = (clip_from_level_sun * vec4(p + n*.004*reach, 1.)).xyz*.5 + .5;
  if (q.x < 0. || q.y < 0. || q.x > 1. || q.y > 1.) return 1.;
  q.z = min(q.z, .9985);
  const float bias = .0012; float sum = 0., count = 0.;
  for (int i = 0; i < 12; i++) {
    float z = textureLod(sun_depth, q.xy + spin*DISC[i]*softness, 0.).r;
    if (z < q.z - bias) { sum += z; count += 1.; }
  }
  if (count == 0.) return 1.;
  float width = clamp((q.z - sum/count)*8.*softness, texel, softness*2.), lit = 0.;
  for (int i = 0; i < 16; i++)
    lit += step(q.z - bias, textureLod(sun_depth, q.xy + spin*DISC[i]*width, 0.).r);
  return lit/16.;
}
void main() {
  vec4 g = texture(positions, uv);
  out_light = vec4(1.); out_sun = vec4(1.);
  if (g.w < .5) return;
  vec3 n = texture(normals, uv).xyz, p = g.xyz, sum = vec3(0);
  float angle = texelFetch(noise, ivec2(gl_FragCoord.xy) & 3, 0).r*6.2832;
  mat2 spin = mat2(cos(angle), sin(angle), -sin(angle), cos(angle));
  out_sun = vec4(sun_visibility(p, n, spin));
  float seen = 0., total = 0., tile = 1./float(tiles);
  for (int i = 0; i < lights; i++) {
    float cosine = dot(n, light_directions[i]);
    if (cosine <= 0.) continue;
    vec4 c = clip_from_level_lights[i] * vec4(p + n*.01*reach, 1.);
    vec2 q = c.xy*.5 + .5; float z = min(c.z*.5 + .5, 1.) - .003, visible = 0.;
    float outside = (q.x < 0. || q.y < 0. || q.x > 1. || q.y > 1.) ? 1. : 0.;
    vec2 corner = vec2(i % tiles, i / tiles)*tile;
    for (int k = 0; k < 2; k++) {
      vec2 t = clamp(q + spin*DISC[(k*5 + i) & 15]*.014, .003, .997);
      visible += .5*step(z, textureLod(light_depths, corner + t*tile, 0.).r);
    }
    visible = max(visible, outside);
    float weight = dot(light_irradiance[i], vec3(.333))*cosine;
    seen += weight*visible; total += weight; sum += light_irradiance[i]*cosine*visible;
  }
  float open = total > 1e-3 ? seen/total : .4;
  sum += irradiance(n)*(1. - open)*.12 + bounce*(.5 - .5*n.y)*mix(.3, 1., open);
  out_light = vec4(sum, open);
}
"""
)

BLUR_FRAGMENT = """#version 330
in vec2 uv; layout(location=0) out vec4 out_light; layout(location=1) out vec4 out_sun;
uniform sampler2D light, sun, positions, normals; uniform float reach;
void main() {
  ivec2 c = ivec2(gl_FragCoord.xy), last = textureSize(light, 0) - 1;
  vec4 g = texelFetch(positions, c, 0), a = vec4(0), b = vec4(0); float total = 0.;
  vec3 n = texelFetch(normals, c, 0).xyz;
  for (int j = -2; j < 2; j++) for (int i = -2; i < 2; i++) {
    ivec2 q = clamp(c + ivec2(i, j), ivec2(0), last); vec4 h = texelFetch(positions, q, 0);
    float off = abs(dot(h.xyz - g.xyz, n));
    float w = h.w == g.w ? max(1e-3, 1. - off*40./reach) : 1e-5;
    a += w*texelFetch(light, q, 0); b += w*texelFetch(sun, q, 0); total += w;
  }
  out_light = a/total; out_sun = b/total;
}
"""

SHADE_VERTEX = (
    _SURFACE_INPUT
    + """
uniform vec3 extent;
out vec3 position, normal, place, flat_normal; out vec4 color;
void main() {"""
    + _PLACE
    + """
  position = level_position.xyz; normal = normal_matrix * in_normal;
  place = in_position * extent; flat_normal = in_normal / extent; color = in_color;
}
"""
)

SHADE_FRAGMENT = (
    """#version 330
in vec3 position, normal, place, flat_normal; in vec4 color; out vec4 out_color;
uniform vec3 palette[4], tint, second, extent, eye, bounce, strength;
uniform vec3 sun_direction, sun_irradiance;
uniform float own_color, layer, repeats, recolor, roughness, metallic, opacity, glow, surface_id;
uniform vec2 screen;
uniform sampler2DArray layers; uniform sampler2D light, sun, positions, photo;
"""
    + _ENVIRONMENT
    + _DISPLAY
    + """
vec2 surface_uv() {
  vec3 a = abs(flat_normal), p = place;
  return a.y > max(a.x, a.z) ? p.xz : (a.x > a.z ? p.zy : p.xy);
}
vec3 base_color() {
  vec3 own = pow(color.rgb, vec3(2.2))*tint;
  vec3 base = mix(palette[int(color.a*255. + .5) & 3], own, own_color);
#if SURFACE == 2
  return pow(texture(photo, place.xy/extent.xy + .5).rgb, vec3(2.2));
#elif SURFACE == 0
  return base;
#endif
  vec3 t = pow(texture(layers, vec3(surface_uv()*repeats, layer)).rgb, vec3(2.2));
  return mix(base*t*1.4, mix(base, second, sqrt(dot(t, vec3(.333)))), recolor);
}
ivec2 light_pixel() {
  // At silhouettes a sample may belong to this surface while the pixel's centre does not.
  ivec2 c = ivec2(gl_FragCoord.xy);
  if (abs(texelFetch(positions, c, 0).w - surface_id) < .5) return c;
  const ivec2 STEPS[4] = ivec2[](ivec2(-1,0), ivec2(1,0), ivec2(0,-1), ivec2(0,1));
  for (int k = 0; k < 4; k++)
    if (abs(texelFetch(positions, c + STEPS[k], 0).w - surface_id) < .5) return c + STEPS[k];
  return c;
}
void main() {
  vec3 n = normalize(normal), v = normalize(eye - position);
  if (dot(n, v) < 0.) n = -n;
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
  vec3 radiance = diffuse*(l.rgb + sun_irradiance*cosine*lit);
  vec3 h = normalize(sun_direction + v); float nh = max(dot(n, h), 0.);
  float d = nh*nh*(a*a - 1.) + 1.;
  float g = .5/(cosine*sqrt(nv*nv*(1. - a*a) + a*a)
    + nv*sqrt(cosine*cosine*(1. - a*a) + a*a) + 1e-4);
  vec3 fresnel = f0 + (1. - f0)*pow(1. - max(dot(h, v), 0.), 5.);
  vec3 shine = sun_irradiance*cosine*lit*fresnel*min(a*a/(3.14159*d*d), 60.)*g;
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
