"""What the phantom's genes are: programs with markers, and profiles over programs.

Programs are amounts of RNA at a place (cells of a class, or a state of theirs); a gene's
expression is its profile times the programs. Marker names are real human genes; their levels
are made up.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from vortex_model.phantom import anatomy as an
from vortex_model.phantom.anatomy import Anatomy, Fields
from vortex_model.phantom.noise import Axes, Floats, smooth

Sees = Literal["morphology", "3d", "depth", "hidden"]


@dataclass(frozen=True)
class Program:
    """One source of RNA.

    Attributes
    ----------
    name
        What it stands for.
    sees
        What it can be told from: ``morphology`` of the plane; only the ``3d`` surroundings;
        the ``depth`` in the block alone (constant within a plane); ``hidden``: from nothing
        but its own smoothness in place.
    markers
        Genes that it drives, the strongest first.
    """

    name: str
    sees: Sees
    markers: tuple[str, ...]


def _p(name: str, sees: Sees, markers: str) -> Program:
    return Program(name, sees, tuple(markers.split()))


PROGRAMS = (
    _p("every cell", "morphology", "ACTB EEF1A1 TPT1 RPLP0 RPS27 GAPDH B2M FTH1 TMSB4X RPL13A"),
    _p(
        "fibroblast",
        "morphology",
        "COL1A1 COL1A2 COL3A1 VIM SPARC DCN LUM FN1 COL6A1 COL6A2 COL6A3 BGN FBLN1 TIMP1 CCN2 "
        "PDGFRA PDGFRB FBN1 THY1 POSTN MMP2 SFRP2 IGFBP7 DPT COL5A1 COL5A2 AEBP1 CTSK",
    ),
    _p(
        "luminal",
        "morphology",
        "KRT8 KRT18 EPCAM KRT19 CDH1 MUC1 CLDN4 CLDN3 ELF3 GATA3 ESR1 XBP1 AGR2 TFF3 PIP "
        "FOXA1 ANKRD30A KRT7 SPINT2 CD24 TACSTD2 AZGP1 LTF MLPH KLK11 PRLR AR STC2",
    ),
    _p(
        "basal",
        "morphology",
        "KRT5 KRT14 TP63 KRT17 KRT15 LAMB3 LAMC2 COL17A1 ITGA6 ITGB4 MYLK OXTR CNN1 DST "
        "KRT6B SFN S100A2 DSC3 DSG3 EGFR CAV1 NGFR",
    ),
    _p(
        "smooth muscle",
        "morphology",
        "ACTA2 DES MYH11 TAGLN SYNPO2 LMOD1 ACTG2 TPM2 MYL9 CALD1 CSRP1 SORBS1 PLN SMTN",
    ),
    _p(
        "endothelium",
        "morphology",
        "PECAM1 VWF CDH5 CLDN5 KDR FLT1 ENG PLVAP ESAM TIE1 TEK EGFL7 EMCN RAMP2 AQP1 MMRN2",
    ),
    _p("blood", "morphology", "HBB HBA1 HBA2 ALAS2 SLC4A1 AHSP"),
    _p(
        "tumour",
        "morphology",
        "ERBB2 GRB7 CEACAM6 KRT81 S100A8 S100A9 MIEN1 STARD3 PGAP3 TFAP2B MUC4 FASN SCD ESRP1 "
        "PRAME CXCL13 LRRC15 CLDN6 MAGEA3 TRPS1 CCND1 SOX4 SPP1 CD44 LCN2 PKM ENO1 LDHA",
    ),
    _p(
        "tumour margin",
        "morphology",
        "MMP11 MMP14 MMP9 SERPINE1 PLAUR LAMA3 ITGB6 TNC ITGA2 SNAI2 TWIST1 ZEB1 CDH2 FAP",
    ),
    _p(
        "proliferation",
        "morphology",
        "MKI67 TOP2A CDK1 CCNB1 BIRC5 UBE2C AURKA PCNA TYMS RRM2 STMN1 H2AZ1 TUBA1B CENPF",
    ),
    _p(
        "hypoxia",
        "3d",
        "CA9 VEGFA NDRG1 ADM SLC2A1 ANKRD37 BNIP3 PDK1 HILPDA EGLN3 P4HA1 ANGPTL4 LOX KDM3A",
    ),
    _p("necrosis", "morphology", "HMOX1 DDIT3 ATF3 HSPA1A HSPA1B TXNIP GADD45B"),
    _p(
        "B cell",
        "morphology",
        "MS4A1 CD79A CD79B CD19 BANK1 CXCR5 PAX5 TCL1A FCRL1 VPREB3 LTB CD37",
    ),
    _p(
        "T cell",
        "morphology",
        "CD3E CD3D TRAC CD2 CD8A CD4 IL7R GZMK CCL5 NKG7 CCR7 LEF1 TRBC2 CD27 FOXP3 CTLA4",
    ),
    _p(
        "macrophage",
        "hidden",
        "CD68 CD163 C1QA C1QB C1QC LYZ AIF1 TYROBP FCER1G MRC1 MSR1 APOE CD14 HLA-DRA CD74",
    ),
    _p(
        "plasma cell",
        "hidden",
        "IGHG1 IGKC IGLC2 JCHAIN MZB1 IGHA1 DERL3 TNFRSF17 PRDM1 SSR4 FKBP11 SDC1",
    ),
    _p("fat", "morphology", "ADIPOQ PLIN1 PLIN4 FABP4 LEP CIDEC LPL CD36 G0S2 PCK1"),
    _p(
        "large duct",
        "3d",
        "KRT23 SLPI PIGR MGP WFDC2 CLU SAA1 SAA2 ALDH1A3 LGR5 PROM1 CFTR",
    ),
    _p(
        "blind end",
        "3d",
        "ELF5 CSN2 CSN3 LALBA KIT PTHLH SOX9 SOX10 BTN1A1 MFGE8 ODAM MUCL1",
    ),
    _p("branching point", "3d", "ETV4 ETV5 SPRY1 SPRY2 DUSP6 FGFR2 AREG WNT4 RSPO1 TNFSF11"),
    _p("reactive gland", "morphology", "CXCL1 CXCL8 CXCL2 CCL20 IL6 NFKBIA ICAM1 SOD2 TNFAIP3"),
    _p(
        "deep end",
        "depth",
        "GREM1 BMP4 WNT5A SFRP1 CHRDL1 ID1 ID3 SMAD6 BAMBI NOG PTCH1 GLI1",
    ),
    _p("shallow end", "depth", "WNT2B AXIN2 NKD1 NOTUM RSPO3 LGR6 TCF7 SP5 DKK2 WIF1"),
    _p(
        "epithelium of the middle",
        "depth",
        "CXCL17 PGR WNT7B GREB1 IHH FGF18 CYP26A1 RARB STRA6 CRABP2 HES5 DLL1",
    ),
    _p("side to side", "hidden", "HOXA5 HOXB2 HOXB6 HOXD8 TBX3 TBX15 EMX2 PITX1 EN1 MEOX2"),
    _p("stress state", "hidden", "FOS JUN EGR1 JUNB DUSP1 IER2 ZFP36 KLF6 NR4A1 MT2A MT1X MT1E"),
)

NAMES = tuple(p.name for p in PROGRAMS)
PROFILE_SEED = 20
_FAMILIES = (
    "ZNF TMEM SLC25A FAM C1orf CCDC ANKRD LRRC KIAA RNF TTC WDR PHF RBM ARHGAP ARHGEF USP "
    "UBE2 PPP1R DNAJC TRIM KLHL MRPL MRPS NDUFA COX PSMB POLR2 EIF3 SNRP VPS RAB TBC1D"
)
_RNA = {  # RNA of a full voxel of a class, beside a luminal one
    an.STROMA: 0.30,
    an.LUMINAL: 1.0,
    an.BASAL: 0.8,
    an.LUMEN: 0.015,
    an.WALL: 0.5,
    an.BLOOD: 0.25,
    an.TUMOUR: 1.35,
    an.TUMOUR_LUMEN: 0.03,
    an.NECROSIS: 0.12,
    an.IMMUNE: 0.9,
    an.MUSCLE: 0.5,
    an.FAT: 0.08,
}


def programs(anatomy: Anatomy, fields: Fields, axes: Axes) -> Floats:
    """Every program's amount at a lattice of places, (program, z, y, x), at least 0."""
    seed, label = anatomy.seed, fields.label
    depth, height, width = (np.float32(s) for s in anatomy.size_um)
    z, y, x = (a.astype(np.float32) for a in axes)
    table = np.zeros(256, dtype=np.float32)
    for number, amount in _RNA.items():
        table[number] = amount
    rna = table[label]

    def of(*classes: int) -> Floats:
        return np.asarray(rna * np.isin(label, classes), dtype=np.float32)

    gland = of(an.LUMINAL, an.BASAL)
    tumour = of(an.TUMOUR)
    stroma = of(an.STROMA)
    margin = np.exp(-((fields.tumour / 55.0) ** 2))
    starved = np.clip((fields.vessel - 25.0) / 90.0, 0.0, 1.0)
    immune = of(an.IMMUNE)
    core = 1.0 / (1.0 + np.exp((fields.immune + 38.0) / 9.0))
    around = np.clip(1.0 - np.maximum(fields.immune, 0.0) / 70.0, 0.0, 1.0) * (fields.immune > 0)
    bump = np.clip(smooth(seed + 81, 70.0, axes) - 0.4, 0.0, 2.0)
    plasma = np.clip(smooth(seed + 82, 55.0, axes) - 0.7, 0.0, 2.0)
    stress = 1.0 / (1.0 + np.exp(-1.7 * smooth(seed + 83, 110.0, axes)))
    relative = (z / depth)[:, None, None]
    across = np.clip(0.5 + 0.8 * ((x / width)[None, None, :] - 0.5), 0.0, 1.0)
    across = across * (0.75 + 0.5 * (y / height)[None, :, None])
    cycle = 0.25 + 0.9 * margin + 0.4 * np.clip(smooth(seed + 84, 40.0, axes), 0.0, 2.0)
    thin, wide = anatomy.style.gland_radius_um
    wideness = np.clip((fields.radius - thin) / (wide - thin), 0.0, 1.0)
    wideness = wideness * np.exp(-fields.generation / 3.0)
    found = {
        "every cell": rna,
        "fibroblast": stroma * (1.0 + 0.8 * margin) + 0.3 * of(an.MUSCLE, an.WALL, an.FAT),
        "luminal": of(an.LUMINAL) + 0.35 * tumour,
        "basal": of(an.BASAL),
        "smooth muscle": of(an.MUSCLE) + 0.6 * of(an.WALL) * (fields.vessel_radius > 9.0),
        "endothelium": of(an.WALL) + 0.04 * stroma,
        "blood": of(an.BLOOD) + 0.004 * rna,
        "tumour": tumour,
        "tumour margin": tumour * margin + 0.5 * stroma * margin,
        "proliferation": tumour * cycle + 0.05 * gland + 0.25 * immune * core,
        "hypoxia": tumour * starved + 0.25 * gland * starved**2 + 0.8 * of(an.NECROSIS),
        "necrosis": of(an.NECROSIS) + 0.1 * tumour * starved,
        "B cell": immune * core,
        "T cell": immune * (1.0 - core) + 0.12 * stroma * around + 0.04 * stroma * margin,
        "macrophage": stroma * bump * (0.25 + 0.6 * margin) + 0.15 * immune,
        "plasma cell": stroma * plasma * 0.5 + 0.08 * immune,
        "fat": of(an.FAT) * 6.0,
        "large duct": gland * wideness,
        "blind end": gland * np.exp(-fields.tip / 70.0),
        "branching point": gland * np.exp(-((fields.fork / 90.0) ** 2)),
        "reactive gland": gland * np.exp(-np.maximum(fields.tumour, 0.0) / 110.0),
        "deep end": rna * relative**1.5,
        "shallow end": rna * (1.0 - relative) ** 1.5,
        "epithelium of the middle": (gland + tumour) * np.exp(-(((relative - 0.5) / 0.16) ** 2)),
        "side to side": rna * across,
        "stress state": rna * stress,
    }
    return np.stack([np.asarray(found[name], dtype=np.float32) for name in NAMES])


def profiles(
    n_genes: int, seed: int, shift: float, amounts: npt.NDArray[np.float64]
) -> tuple[pd.DataFrame, Floats]:
    """Gene table and loadings (program, gene); each gene's rate is programs times loadings.

    Parameters
    ----------
    n_genes
        How many; markers come first, then filler genes that mix programs at low levels.
    seed, shift
        Of the block: every gene is scaled by its own log-normal factor, of this deviation in
        log2; the profiles themselves are the same in all phantoms.
    amounts
        Mean of each program over the tissue, so that rare programs still have visible markers.

    Returns
    -------
    genes
        Index: name. ``program``: the strongest; ``sees``: see :class:`Program`; ``marker``.
    loadings
        Scaled so that the mean rate over tissue sums to 1 over all genes.
    """
    rng = np.random.default_rng(PROFILE_SEED)
    names: list[str] = []
    columns: list[npt.NDArray[np.float64]] = []
    rows: list[tuple[str, str, bool]] = []
    usual = 1.0 / np.maximum(amounts, 0.02 * amounts[0])
    for number, program in enumerate(PROGRAMS):
        for rank, marker in enumerate(program.markers):
            level = 10.0 ** (-0.055 * rank + 0.18 * rng.normal())
            level *= {"every cell": 3.5, "blood": 0.5}.get(program.name, 1.0)
            column = np.zeros(len(PROGRAMS))
            column[number] = level * usual[number] ** 0.65 * amounts[0] ** -0.35
            column[0] += 0.02 * level * rng.lognormal(0.0, 0.6) / amounts[0]
            names.append(marker)
            columns.append(column)
            rows.append((program.name, program.sees, True))
    fillers = filler_names(max(0, n_genes - len(names)))
    for name in fillers:
        mix = rng.dirichlet(np.full(len(PROGRAMS), 0.12)) * usual**0.65 * amounts[0] ** -0.35
        level = rng.lognormal(-3.0, 1.1)
        column = 0.55 * mix
        column[0] += rng.uniform(0.3, 1.0) / amounts[0]
        column *= level
        strongest = int(np.argmax(column * amounts))
        names.append(name)
        columns.append(column)
        rows.append((PROGRAMS[strongest].name, PROGRAMS[strongest].sees, False))
    loadings = np.stack(columns[:n_genes], axis=1)
    own = np.random.default_rng([seed, 5])
    loadings = loadings * 2.0 ** (shift * own.normal(size=loadings.shape[1]))
    loadings /= float((amounts @ loadings).sum())
    table = pd.DataFrame(
        rows[:n_genes],
        columns=["program", "sees", "marker"],
        index=pd.Index(names[:n_genes], name="gene"),
    )
    return table, loadings.astype(np.float32)


def filler_names(count: int) -> list[str]:
    """Names of genes that nobody is asked to know: families and a number, none a marker."""
    taken = {m for p in PROGRAMS for m in p.markers}
    families = _FAMILIES.split()
    names: list[str] = []
    number = 1
    while len(names) < count:
        for family in families:
            name = f"{family}{number}"
            if name not in taken and len(names) < count:
                names.append(name)
        number += 1
    return names


def draw_counts(
    rate: npt.NDArray[np.float64], depth: float, shift: float, seed: int, section: int
) -> npt.NDArray[np.int64]:
    """Counts (spots, genes) from rates: negative-binomial, with a capture efficiency a spot.

    Parameters
    ----------
    rate
        (spots, genes); 1 in sum over genes is a spot of mean RNA content.
    depth
        Counts of such a spot.
    shift
        Deviation, in log2, of each gene's level in this section.
    """
    rng = np.random.default_rng([seed, 6, section])
    capture = rng.lognormal(-0.045, 0.3, size=(len(rate), 1))
    level = 2.0 ** (shift * rng.normal(size=(1, rate.shape[1])))
    dispersion = 6.0
    mean = np.maximum(rate * depth * capture * level, 1e-12)
    return np.asarray(rng.poisson(rng.gamma(dispersion, mean / dispersion)), dtype=np.int64)
