"""The files in the package are whole and are read right."""

from collections import Counter
from decimal import Decimal

from upgrader.demo.cities import City, Country, read_cities, read_countries
from upgrader.demo.example import demo_commands
from upgrader.demo.tenants import Tenant
from upgrader.demo.verify import expected_figures


def test_the_cities_are_all_there():
    """The totals of the file, counted independently of the code that reads it."""
    cities = list(read_cities())

    assert len(cities) == 34_006
    assert sum(city.population for city in cities) == 3_932_182_704
    assert len({city.id for city in cities}) == 34_006
    assert Counter(city.country_iso for city in cities)["IN"] == 3_779
    assert len({city.country_iso for city in cities}) == 244


def test_the_countries_are_all_there():
    countries = list(read_countries())

    assert len(countries) == 252
    assert {city.country_iso for city in read_cities()} <= {country.iso for country in countries}


def test_a_city_has_typed_values():
    """Letters beyond ASCII and all decimals survive."""
    city = next(city for city in read_cities() if city.id == 490)

    assert city == City(
        490, "Lavāsān", "IR", "26", Decimal("35.82159"), Decimal("51.64444"), 18_146, "Asia/Tehran"
    )


def test_a_country_has_typed_values():
    """Namibia's code is `NA`, which many a reader of CSV takes for a missing value."""
    namibia = next(country for country in read_countries() if country.iso == "NA")

    assert namibia == Country(
        3355338, "NA", "NAM", "Namibia", "Windhoek", "AF", "NAD", 2_448_255, Decimal(825418), ".na"
    )


def test_what_a_country_has_not_is_none():
    countries = {country.iso: country for country in read_countries()}

    assert (countries["AQ"].capital, countries["AQ"].currency_code) == (None, None)
    assert countries["XK"].tld is None
    assert countries["CW"].capital == "Willemstad"


def test_figures_are_added_up_by_country():
    def city(country_iso: str, population: int) -> City:
        return City(1, "", country_iso, "", Decimal("1.5"), Decimal("-1"), population, "")

    figures = expected_figures([city("AA", 10), city("BB", 1), city("AA", 5)])

    assert list(figures) == ["AA", "BB"]
    assert (figures["AA"].cities, figures["AA"].population) == (2, 15)
    assert figures["AA"].coordinates == Decimal("1.0")


def test_no_cities_come_to_no_figures():
    assert expected_figures([]) == {}


def test_a_tenant_follows_from_its_code():
    """The ids stand in documents and must not change."""
    tenant = Tenant("PT", "Portugal")

    assert str(tenant.id) == "2a7735f2-8fe0-5f50-b17a-0b07fea3e8c8"
    assert tenant.schema == "workspace_pt"
    assert tenant.status == "ACTIVE"


def test_the_worked_example_is_found():
    versions = sorted(path.name for path in demo_commands().glob("v*"))

    assert versions == ["v1_21_0", "v1_22_0", "v1_23_0", "v1_24_0"]
