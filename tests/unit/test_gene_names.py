"""The table of gene names that ships says what a symbol means."""

from vortex_viewer.gene_names import about, described, find


def test_a_gene_is_told_in_words_and_found_by_a_synonym_whatever_its_case() -> None:
    assert described("KRT8") == "keratin 8"
    assert find("her2").symbol == "ERBB2"
    assert described("KIAA0158") == "septin 2"


def test_another_species_gene_says_whose_name_it_has() -> None:
    assert described("Krt8", "mouse") == "as human KRT8: keratin 8"
    assert described("Krt8", "Homo sapiens") == "keratin 8"


def test_a_synonym_of_two_genes_stands_for_neither() -> None:
    assert find("MRP8") is None  # of S100A8 and of ABCC11
    assert find("no such gene") is None


def test_a_panel_gets_a_row_a_gene() -> None:
    told = about(["ERBB2", "ENSG00000000001"])
    assert told["words"] == ["erb-b2 receptor tyrosine kinase 2", ""]
    assert "HER2" in told["also"][0].split(", ")
    assert told["also"][1] == ""
