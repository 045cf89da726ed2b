"""Words that names, addresses and notes are put together from."""

from __future__ import annotations


def _phrases(text: str) -> tuple[str, ...]:
    """Split a block of phrases at the bars."""
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))


FIRST_NAMES = _phrases("""
    Ada | Aiko | Amir | Ana | Anders | Anaïs | Ben | Björn | Carla | Chloé | Dana | Deepa | Eli |
    Elif | Emeka | Fatima | Felix | Grace | Hana | Hugo | Inés | Ivan | Jae | Joana | José | Kenji
    | Lars | Leila | Łukasz | Mai | Marco | Mei | Nadia | Niamh | Noor | Omar | Oğuz | Paula |
    Priya | Quinn | Ravi | Rosa | Ruth | Sami | Siobhán | Søren | Tara | Tomás | Uma | Viktor |
    Wen | Yusuf | Zoë | 美玲 | Дарья
""")

LAST_NAMES = _phrases("""
    Abara | Almeida | Åkesson | Bauer | Becker | Brandt | Calder | Castro | Chaudhry | Costa |
    D'Arcy | Delacroix | Dvořák | Eriksen | Farouk | Fischer | Fujita | García | Grant | Haddad |
    Hale | Hansen | Ibáñez | Ito | Jansen | Kaya | Keller | Khan | Kowalski | Laurent | Lindqvist
    | Marsh | Mbeki | Moreau | Müller | Ng | Novak | O'Dowd | Okafor | Ortega | Papadaki | Pryce |
    Quint | Rao | Rossi | Sato | Schäfer | Silva | Smith-Hale | Tanaka | Thorne | Ueda | Vance |
    Weiss | Yilmaz | Zhang | 李
""")

PLACE_WORDS = _phrases("""
    Alder | Anchor | Aspen | Bay | Beacon | Birch | Bridge | Canal | Canyon | Cedar | Cliff |
    Copper | Crescent | Delta | Elm | Foundry | Garnet | Granite | Grove | Harbor | Hawthorn |
    Heron | Highland | Iron | Juniper | Lakeshore | Larch | Maple | Meridian | Mill | Orchard |
    Palisade | Pine | Quarry | Quay | Rail | Ridge | River | Saddle | Slate | Spruce | Station |
    Stone | Summit | Timber | Vista | Wharf | Willow
""")

BUILDING_WORDS = _phrases("""
    Apartments | Commons | Court | Crossing | Exchange | Flats | Gardens | Landing | Lofts |
    Logistics Park | Market | Medical Plaza | Office Park | Place | Plaza | Point | Residences |
    Row | Self Storage | Square | Suites | Terrace | Tower | Village | Works | Yard
""")

FIRM_WORDS = _phrases("""
    Advisors | Bank | Capital | Capital Partners | Commercial Bank | Credit Union | Equities |
    Finance | Funding | Group | Holdings | Investors | Lending | Life | Mortgage | Mutual |
    Partners | Property Group | Realty | Realty Trust | Savings Bank | Ventures
""")

STREET_WORDS = _phrases("""
    Ave | Blvd | Court | Drive | Lane | Place | Road | St | Street | Way
""")

CITIES = tuple(
    tuple(city.split("/"))
    for city in _phrases("""
    Albuquerque/NM/871 | Atlanta/GA/303 | Austin/TX/787 | Baltimore/MD/212 | Boise/ID/837 |
    Boston/MA/021 | Buffalo/NY/142 | Charlotte/NC/282 | Chicago/IL/606 | Cleveland/OH/441 |
    Columbus/OH/432 | Dallas/TX/752 | Denver/CO/802 | Des Moines/IA/503 | Detroit/MI/482 |
    Hartford/CT/061 | Houston/TX/770 | Kansas City/MO/641 | Las Vegas/NV/891 | Louisville/KY/402 |
    Miami/FL/331 | Minneapolis/MN/554 | Nashville/TN/372 | New Orleans/LA/701 | New York/NY/100 |
    Omaha/NE/681 | Orlando/FL/328 | Peñasco/NM/875 | Phoenix/AZ/850 | Pittsburgh/PA/152 |
    Portland/ME/041 | Portland/OR/972 | Raleigh/NC/276 | Richmond/VA/232 | Sacramento/CA/958 | San
    Diego/CA/921 | San José/CA/951 | Seattle/WA/981 | Tampa/FL/336 | Tucson/AZ/857
    """)
)

JOB_TITLES = _phrases("""
    Analyst | Associate | Closing Coordinator | Director | Executive Director | Head of
    Originations | Managing Director | Partner | President | Principal | Senior Vice President |
    Underwriter | Vice President
""")

DEPARTMENTS = _phrases("""
    Acquisitions | Asset Management | Capital Markets | Closing | Credit | Originations
""")

NOTE_OPENINGS = _phrases("""
    Lender asked for | Sponsor will send | Waiting for | Reviewed | Need an update on | Call went
    well; next: | Counsel commented on | Résumé of the call: | Flagged a problem with | Agreed to
    extend the date for
""")

NOTE_SUBJECTS = _phrases("""
    the rent roll | the T-12 | the environmental report | the appraisal | the survey | the term
    sheet | the guarantor's financials | the insurance certificate | the title commitment | the
    rate lock | the capex budget — phase 2 | the “as-is” value | the lease abstracts 📄
""")

FOLDERS = _phrases("""
    Financials/2024 | Financials/2025 | Legal | Legal/Leases | Reports | Reports/Environmental |
    Photos
""")

FILE_STEMS = _phrases("""
    rent-roll | t12 | appraisal | survey | phase-1 | term-sheet | offering-memo | insurance | loi
    | leases | zoning | Übersicht | tax-bill | operating-agreement | title-commitment
""")

FILE_TYPES = _phrases("""
    pdf | pdf | pdf | xlsx | xlsx | docx | jpg | zip
""")

TASK_TITLES = _phrases("""
    Rent roll | Trailing 12 months | Operating budget | Purchase agreement | Organization chart |
    Guarantor statement | Insurance certificate | Environmental report | Appraisal engagement |
    Title commitment | Zoning letter | Lease abstracts | Capex plan | Entity documents | Payoff
    letter
""")
