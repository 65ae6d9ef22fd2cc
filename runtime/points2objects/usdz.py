"""Write scenes as USDZ, which iOS, visionOS and macOS open in AR; needs the `usd` extra."""

import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from points2objects.errors import InputError
from points2objects.glb import Color, Mesh
from points2objects.glb_writer import Instance

_METADATA = "points2objects"


def encode_usdz(
    instances: Sequence[Instance], extras: Mapping[str, Any], copyright_line: str = ""
) -> bytes:
    """Return a USDZ package with one prim per instance; metres, +Y up.

    Every object is an `Xform` (translate, orient, scale) over its own mesh, with the instance's
    extras as custom data; objects of one colour share a material.

    Args:
        instances: May be empty: the file is then an empty scene.
        extras: JSON values for the custom data of the layer.
        copyright_line: Credits for the layer's documentation.

    Raises:
        InputError: The `usd` extra is not installed.
    """
    Sdf, UsdUtils = _pxr("Sdf", "UsdUtils")
    # USD writes files only, and its packager copies the layer from another one.
    with tempfile.TemporaryDirectory() as folder:
        layer, package = Path(folder, "scene.usdc"), Path(folder, "scene.usdz")
        _write_layer(layer, instances, extras, copyright_line)
        if not UsdUtils.CreateNewUsdzPackage(Sdf.AssetPath(str(layer)), str(package)):
            raise InputError(f"usd-core could not make a package in {folder}; is the disk full?")
        return package.read_bytes()


def _pxr(*names: str) -> list[Any]:
    """Import modules of USD, which only this file needs and only when it writes."""
    try:
        return [import_module(f"pxr.{name}") for name in names]
    except ImportError as error:
        raise InputError(
            "writing USDZ needs usd-core, which is not installed; run: pip install "
            "'points2objects[usd]'"
        ) from error


def _write_layer(
    path: Path, instances: Sequence[Instance], extras: Mapping[str, Any], copyright_line: str
) -> None:
    Kind, Tf, Usd, UsdGeom = _pxr("Kind", "Tf", "Usd", "UsdGeom")

    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1.0)
    layer = stage.GetRootLayer()
    layer.customLayerData = {_METADATA: _plain(extras)}
    layer.documentation = copyright_line
    root = UsdGeom.Xform.Define(stage, "/scene")
    stage.SetDefaultPrim(root.GetPrim())
    Usd.ModelAPI(root).SetKind(Kind.Tokens.group)
    materials: dict[Color, Any] = {}
    for index, instance in enumerate(instances):
        # The running number keeps names apart that USD's alphabet makes equal.
        name = Tf.MakeValidIdentifier(f"{instance.name}_{index}")
        if instance.mesh.color not in materials:
            materials[instance.mesh.color] = _add_material(
                stage, len(materials), instance.mesh.color
            )
        _add_object(stage, f"/scene/{name}", instance, materials[instance.mesh.color])
    stage.Save()


def _add_object(stage: Any, path: str, instance: Instance, material: Any) -> None:
    Gf, Kind, Usd, UsdGeom = _pxr("Gf", "Kind", "Usd", "UsdGeom")

    xform = UsdGeom.Xform.Define(stage, path)
    prim = xform.GetPrim()
    prim.SetDisplayName(instance.name)
    prim.SetCustomDataByKey(_METADATA, _plain(instance.extras))
    Usd.ModelAPI(prim).SetKind(Kind.Tokens.component)
    x, y, z, w = map(float, instance.rotation)
    xform.AddTranslateOp().Set(Gf.Vec3d(*map(float, instance.translation)))
    xform.AddOrientOp().Set(Gf.Quatf(w, x, y, z))
    xform.AddScaleOp().Set(Gf.Vec3f(*map(float, instance.scale)))
    _add_mesh(stage, f"{path}/mesh", instance.mesh, material)


def _add_mesh(stage: Any, path: str, mesh: Mesh, material: Any) -> None:
    UsdGeom, UsdShade, Vt = _pxr("UsdGeom", "UsdShade", "Vt")

    geometry = UsdGeom.Mesh.Define(stage, path)
    points = Vt.Vec3fArray.FromNumpy(mesh.vertices)
    geometry.CreatePointsAttr(points)
    geometry.CreateNormalsAttr(Vt.Vec3fArray.FromNumpy(mesh.normals))
    geometry.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
    geometry.CreateFaceVertexCountsAttr([3] * len(mesh.faces))
    geometry.CreateFaceVertexIndicesAttr(mesh.faces.ravel().astype("i4"))
    geometry.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
    geometry.CreateExtentAttr(UsdGeom.PointBased.ComputeExtent(points))
    geometry.CreateDoubleSidedAttr(True)
    UsdShade.MaterialBindingAPI.Apply(geometry.GetPrim()).Bind(material)


def _add_material(stage: Any, index: int, color: Color) -> Any:
    """Define a material of one linear colour and return it."""
    Gf, Sdf, UsdGeom, UsdShade = _pxr("Gf", "Sdf", "UsdGeom", "UsdShade")

    UsdGeom.Scope.Define(stage, "/scene/materials")
    path = f"/scene/materials/color_{index}"
    material = UsdShade.Material.Define(stage, path)
    shader = UsdShade.Shader.Define(stage, f"{path}/surface")
    shader.CreateIdAttr("UsdPreviewSurface")
    types = Sdf.ValueTypeNames
    shader.CreateInput("diffuseColor", types.Color3f).Set(Gf.Vec3f(*color[:3]))
    shader.CreateInput("opacity", types.Float).Set(float(color[3]))
    shader.CreateInput("roughness", types.Float).Set(0.9)
    shader.CreateInput("metallic", types.Float).Set(0.0)
    output = shader.CreateOutput("surface", types.Token)
    material.CreateSurfaceOutput().ConnectToSource(output)
    return material


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Make JSON values fit for a USD dictionary, which has no null."""
    return {
        key: _plain(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
