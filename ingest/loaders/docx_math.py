"""Equations of Office documents (OMML) as LaTeX, the way most readers and models know formulas."""

from __future__ import annotations

import re
from collections.abc import Callable

from lxml import etree

from ingest.loaders.docx_styles import local_name

_M = "{http://schemas.openxmlformats.org/officeDocument/2006/math}"
_SYMBOLS = {
    "×": r"\times ", "·": r"\cdot ", "÷": r"\div ", "±": r"\pm ", "∓": r"\mp ", "≤": r"\leq ", "≥": r"\geq ",
    "≠": r"\neq ", "≈": r"\approx ", "≡": r"\equiv ", "∞": r"\infty ", "→": r"\to ", "⇒": r"\Rightarrow ",
    "∈": r"\in ", "∉": r"\notin ", "∪": r"\cup ", "∩": r"\cap ", "⊂": r"\subset ", "∀": r"\forall ",
    "∃": r"\exists ", "∂": r"\partial ", "∇": r"\nabla ", "∑": r"\sum ", "∏": r"\prod ", "∫": r"\int ",
    "√": r"\sqrt ", "…": r"\dots ", "⋯": r"\cdots ", "−": "-", "∗": "*", "%": r"\%", "#": r"\#", "&": r"\&",
    "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "δ": r"\delta ", "ε": r"\epsilon ", "ζ": r"\zeta ",
    "η": r"\eta ", "θ": r"\theta ", "κ": r"\kappa ", "λ": r"\lambda ", "μ": r"\mu ", "ν": r"\nu ", "ξ": r"\xi ",
    "π": r"\pi ", "ρ": r"\rho ", "σ": r"\sigma ", "τ": r"\tau ", "φ": r"\phi ", "χ": r"\chi ", "ψ": r"\psi ",
    "ω": r"\omega ", "υ": r"\upsilon ", "ι": r"\iota ", "ϑ": r"\vartheta ", "ϖ": r"\varpi ", "ϱ": r"\varrho ",
    "ς": r"\varsigma ", "Π": r"\Pi ", "Ξ": r"\Xi ", "Υ": r"\Upsilon ", "″": "''", "′": "'", "†": r"\dagger ", "Γ": r"\Gamma ", "Δ": r"\Delta ", "Θ": r"\Theta ", "Λ": r"\Lambda ", "Σ": r"\Sigma ",
    "ϵ": r"\epsilon ", "ϕ": r"\phi ", "⋅": r"\cdot ", "∝": r"\propto ", "∼": r"\sim ", "≅": r"\cong ", "≪": r"\ll ",
    "≫": r"\gg ", "←": r"\leftarrow ", "↔": r"\leftrightarrow ", "⇐": r"\Leftarrow ", "⇔": r"\Leftrightarrow ",
    "↦": r"\mapsto ", "⊆": r"\subseteq ", "⊃": r"\supset ", "⊇": r"\supseteq ", "∅": r"\emptyset ", "∧": r"\wedge ",
    "∨": r"\vee ", "¬": r"\neg ", "∘": r"\circ ", "⊕": r"\oplus ", "⊗": r"\otimes ", "⊥": r"\perp ", "∥": r"\parallel ",
    "∠": r"\angle ", "ℏ": r"\hbar ", "ℓ": r"\ell ", "ℝ": r"\mathbb{R}", "ℕ": r"\mathbb{N}", "ℤ": r"\mathbb{Z}",
    "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}", "⋃": r"\bigcup ", "⋂": r"\bigcap ", "⋀": r"\bigwedge ", "⋁": r"\bigvee ",
    "∐": r"\coprod ", "∬": r"\iint ", "∭": r"\iiint ", "∮": r"\oint ", "∯": r"\oiint ", "∰": r"\oiiint ", "\u2061": "",
    "Φ": r"\Phi ", "Ψ": r"\Psi ", "Ω": r"\Omega ",
}  # fmt: skip
_BINOMIAL = re.compile(r"\\binom\{[^{}]*\}\{[^{}]*\}")
_ACCENTS = {"\u0302": r"\hat", "\u0303": r"\tilde", "\u0304": r"\bar", "\u0305": r"\overline", "\u20d7": r"\vec",
            "\u0307": r"\dot", "\u0308": r"\ddot"}  # fmt: skip
_FUNCTIONS = frozenset("sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lim max min sup inf det".split())  # noqa: SIM905 # fmt: skip


def latex(node: etree._Element) -> str:
    """Of one ``oMath``; what has no rule gives the text inside it, so that nothing is lost."""
    return " ".join(_children(node).split())


def _children(node: etree._Element) -> str:
    return "".join(_one(child) for child in node if isinstance(child.tag, str))


def _one(node: etree._Element) -> str:
    name = local_name(node)
    rule = _RULES.get(name)
    return rule(node) if rule else _children(node)


def _part(node: etree._Element, name: str) -> str:
    found = node.find(f"{_M}{name}")
    return _children(found) if found is not None else ""


def _property(node: etree._Element, name: str, default: str = "") -> str:
    """Of the element whose name is its parent's with Pr; an empty value means "none"."""
    found = node.find(f"{_M}{local_name(node)}Pr/{_M}{name}")
    return default if found is None else found.get(f"{_M}val", "")


def _run(node: etree._Element) -> str:
    text = "".join(part.text or "" for part in node if local_name(part) == "t")
    written = "".join(_SYMBOLS.get(char, char) for char in text)
    return rf"\text{{{written}}}" if _is_words(node, text) else written


def _is_words(node: etree._Element, text: str) -> bool:
    """Set as text, not as a product of letters."""
    normal = node.find(f"{_M}rPr/{_M}nor")
    is_normal = normal is not None and normal.get(f"{_M}val", "1") not in ("0", "off", "false")
    return is_normal and sum(char.isalpha() for char in text) > 1


def _function(node: etree._Element) -> str:
    return _with_slash(_part(node, "fName").strip()) + _delimited_argument(_part(node, "e"))


def _delimited_argument(argument: str) -> str:
    return argument if argument.startswith((r"\left", "(")) else f" {argument}"


def _fraction(node: etree._Element) -> str:
    over, under = _part(node, "num"), _part(node, "den")
    if _property(node, "type") == "noBar":
        return rf"\binom{{{over}}}{{{under}}}"
    return rf"\frac{{{over}}}{{{under}}}"


def _radical(node: etree._Element) -> str:
    degree = _part(node, "deg").strip()
    return rf"\sqrt{f'[{degree}]' if degree else ''}{{{_part(node, 'e')}}}"


def _nary(node: etree._Element) -> str:
    char = _property(node, "chr", "∫")
    sign = _SYMBOLS.get(char, char)
    below, above = _part(node, "sub"), _part(node, "sup")
    bounds = (f"_{{{below}}}" if below else "") + (f"^{{{above}}}" if above else "")
    return f"{sign.strip()}{bounds}{' ' if not bounds else ''}{_part(node, 'e')}"


def _delimiters(node: etree._Element) -> str:
    left, right = _property(node, "begChr", "("), _property(node, "endChr", ")")
    between = _property(node, "sepChr", "|")
    inside = between.join(_children(part) for part in node.findall(f"{_M}e"))
    if (left, right) == ("(", ")") and _BINOMIAL.fullmatch(inside):
        return inside
    return rf"\left{_bracket(left)}{inside}\right{_bracket(right)}"


def _group(node: etree._Element) -> str:
    sign = {"⏞": r"\overbrace", "→": r"\overrightarrow"}.get(_property(node, "chr", "⏟"), r"\underbrace")
    return f"{sign}{{{_part(node, 'e')}}}"


def _bracket(char: str) -> str:
    return {"": ".", "{": r"\{", "}": r"\}", "‖": r"\|", "⌊": r"\lfloor ", "⌋": r"\rfloor ", "⟨": r"\langle ",
            "⟩": r"\rangle "}.get(char, char)  # fmt: skip


def _matrix(node: etree._Element) -> str:
    rows = [" & ".join(_children(cell) for cell in row.findall(f"{_M}e")) for row in node.findall(f"{_M}mr")]
    return r"\begin{matrix}" + r" \\ ".join(rows) + r"\end{matrix}"


def _array(node: etree._Element) -> str:
    rows = [_children(row) for row in node.findall(f"{_M}e")]
    return rows[0] if len(rows) == 1 else r"\begin{aligned}" + r" \\ ".join(rows) + r"\end{aligned}"


def _accent(node: etree._Element) -> str:
    sign = _ACCENTS.get(_property(node, "chr", chr(0x302)), r"\hat")
    return f"{sign}{{{_part(node, 'e')}}}"


_RULES: dict[str, Callable[[etree._Element], str]] = {
    "r": _run,
    "f": _fraction,
    "func": _function,
    "rad": _radical,
    "nary": _nary,
    "d": _delimiters,
    "m": _matrix,
    "eqArr": _array,
    "acc": _accent,
    "groupChr": _group,
    "bar": lambda node: rf"\overline{{{_part(node, 'e')}}}",
    "sSup": lambda node: f"{_part(node, 'e')}^{{{_part(node, 'sup')}}}",
    "sSub": lambda node: f"{_part(node, 'e')}_{{{_part(node, 'sub')}}}",
    "sSubSup": lambda node: f"{_part(node, 'e')}_{{{_part(node, 'sub')}}}^{{{_part(node, 'sup')}}}",
    "sPre": lambda node: f"{{}}_{{{_part(node, 'sub')}}}^{{{_part(node, 'sup')}}}{_part(node, 'e')}",
    "limLow": lambda node: f"{_with_slash(_part(node, 'e'))}_{{{_part(node, 'lim')}}}",
    "limUpp": lambda node: f"{_with_slash(_part(node, 'e'))}^{{{_part(node, 'lim')}}}",
}


def _with_slash(name: str) -> str:
    return "\\" + name.strip() if name.strip() in _FUNCTIONS else name
