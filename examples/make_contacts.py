"""Make the sample: `contacts.csv` and `joiners.csv`, people who do not exist, the same ones at every run.

Names are put together from common given and family names of their place; addresses lie below example.com,
example.org and example.net, which belong to nobody (RFC 2606). Run `python -m examples.make_contacts`.
"""

from __future__ import annotations

import csv
import random
import re
import unicodedata
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).parent
CONTACTS, JOINERS = HERE / "contacts.csv", HERE / "joiners.csv"
NUMBER_OF_CONTACTS, NUMBER_OF_JOINERS = 2_400, 60
COLUMNS = ("email", "time_zone", "first_name", "last_name", "city", "plan", "signed_up")

_SEED = 20_260_401
_FIRST_DAY, _LAST_DAY = date(2019, 3, 1), date(2026, 3, 31)
_PLANS = ("taster", "regular", "friend")
_PLAN_WEIGHTS = (6, 3, 1)
_DOMAINS = tuple(
    f"{word}.example.{ending}"
    for word in ("mail", "post", "inbox", "letters", "home", "studio")
    for ending in ("com", "org", "net")
)

#: Given names and family names by language; `written=as in an address` where the letters are not Latin.
_NAMES: dict[str, tuple[str, str]] = {
    "amharic": ("ሰላም=selam ዳዊት=dawit ሀና=hana ዮናስ=yonas", "በቀለ=bekele ተስፋዬ=tesfaye ገብረ=gebre"),
    "arabic": (
        "ليلى=layla يوسف=youssef مريم=maryam كريم=karim نور=nour سلمى=salma",
        "حداد=haddad منصور=mansour خوري=khoury سالم=salem",
    ),
    "bengali": ("অনিকা=anika রাহুল=rahul মিতা=mita তানভীর=tanvir", "রহমান=rahman সেন=sen দাস=das"),
    "chinese": (
        "美玲=meiling 建国=jianguo 晓雯=xiaowen 子涵=zihan",
        "王=wang 李=li 陈=chen 黄=huang 林=lin",
    ),
    "danish": ("Søren Freja Asger Ingrid Mads Signe", "Sørensen Kjær Nørgaard Holm"),
    "dutch": ("Sanne Daan Lotte Joris Maud Thijs", "de Vries;van Dijk;Bakker;Jansen"),
    "english": (
        "Amelia Oliver Grace Noah Zoe Liam Harriet Theo Ruby Callum Imogen Jude",
        "Ashworth Bennett O'Connor Fletcher Hughes Marlow Whitaker Nguyen Okafor",
    ),
    "filipino": ("Maria Jose Althea Paolo Bea Miguel", "dela Cruz;Reyes;Santos;Bautista"),
    "finnish": ("Aino Väinö Helmi Onni Päivi Eero", "Mäkinen Virtanen Hämäläinen Lähde"),
    "french": ("Amélie Théo Chloé Élodie Rémi Inès Loïc Maëlle", "Lefèvre Moreau Béranger Girard Desrosiers"),
    "german": ("Jürgen Lena Björn Käthe Matthias Annika Jörg Friederike", "Müller Weiß Schröder Krüger Brandt"),
    "greek": ("Ελένη=eleni Νίκος=nikos Μαρία=maria Γιώργος=giorgos", "Παπαδάκης=papadakis Ιωάννου=ioannou"),
    "nigerian": ("Chinedu Ngozi Adaeze Tunde Yemi Ifeoma", "Adeyemi Okonkwo Balogun Eze"),
    "hawaiian": ("Kalani Leilani Keoni Malia", "Kahale Kealoha Nakamura"),
    "hebrew": ("נועה=noa איתי=itai תמר=tamar", "לוי=levi כהן=cohen ברק=barak"),
    "hindi": ("अनन्या=ananya रोहन=rohan प्रिया=priya अर्जुन=arjun Kavya Vikram", "शर्मा=sharma मेहता=mehta Iyer Patel"),
    "icelandic": ("Guðrún Þór Sigríður Björk", "Jónsdóttir Ægisson Þorsteinsson"),
    "indonesian": ("Putri Budi Siti Agus Dewi", "Santoso Wijaya Lestari"),
    "italian": ("Giulia Niccolò Chiara Matteo Zoè", "D'Angelo;Rossi;De Luca;Bianchi"),
    "japanese": (
        "陽菜=haruna 蓮=ren さくら=sakura 大輔=daisuke 美咲=misaki 翔太=shota",
        "小林=kobayashi 山本=yamamoto 佐藤=sato 高橋=takahashi",
    ),
    "kazakh": ("Айгерім=aigerim Нұрлан=nurlan Дана=dana", "Ахметова=akhmetova Сейтқали=seitkali"),
    "korean": ("지우=jiwoo 민준=minjun 서연=seoyeon 하은=haeun", "김=kim 박=park 최=choi 정=jung"),
    "maori": ("Aroha Wiremu Hēmi Mārama Sophie Jack", "Ngata Paewai Thompson"),
    "nepali": ("सीता=sita बिकाश=bikash Asmita Pemba", "थापा=thapa Sherpa Gurung"),
    "norwegian": ("Åse Øyvind Ingrid Håkon Solveig Bjørn", "Ødegård Hansen Bråten Lunde"),
    "persian": ("شیرین=shirin آرش=arash پریسا=parisa", "حسینی=hosseini رضایی=rezaei"),
    "polish": ("Łukasz Małgorzata Zofia Paweł Agnieszka Michał", "Wójcik Kowalska Dąbrowski Żak"),
    "portuguese": ("João Conceição Inês Tomás Beatriz Luís Antônia", "Gonçalves Araújo Simões Magalhães"),
    "sinhala": ("නිමාලි=nimali කසුන්=kasun Dilani", "Perera Fernando Silva"),
    "spanish": ("Íñigo Lucía Martín Sofía Andrés Begoña Ximena Mateo", "Muñoz García Peña Ibáñez Castañeda Rojas"),
    "swahili": ("Wanjiru Otieno Achieng Kamau Amina", "Mwangi Odhiambo Njoroge"),
    "swedish": ("Åsa Göran Linnéa Björn Märta", "Öberg Lindström Åkesson"),
    "thai": ("สมชาย=somchai ปิยะดา=piyada อรทัย=orathai", "แก้วใส=kaewsai ทองดี=thongdee"),
    "turkish": ("Ayşe Çağlar İpek Oğuz Şebnem Emre", "Yıldız Öztürk Güneş Şahin"),
    "ukrainian": ("Олена=olena Тарас=taras Оксана=oksana Богдан=bohdan", "Шевчук=shevchuk Коваль=koval Мельник=melnyk"),
    "vietnamese": ("Hoa Minh Thảo Quân Ngọc", "Nguyễn Trần Phạm Đặng"),
    "zulu": ("Thandiwe Sipho Nomvula Bongani Lerato", "Dlamini;Nkosi;van Wyk"),
}

#: Where people live: zone, language and cities; the number is how many of a hundred or so live there.
_PLACES: tuple[tuple[str, str, str, int], ...] = (
    ("Pacific/Honolulu", "hawaiian", "Honolulu;Hilo", 2),
    ("America/Anchorage", "english", "Anchorage", 1),
    ("America/Los_Angeles", "english", "Portland;Oakland;Seattle", 5),
    ("America/Denver", "english", "Boulder;Santa Fe", 2),
    ("America/Chicago", "english", "Chicago;Madison", 4),
    ("America/New_York", "english", "Brooklyn;Boston;Pittsburgh", 7),
    ("America/Toronto", "french", "Montréal;Ottawa", 4),
    ("America/St_Johns", "english", "St. John's", 1),
    ("America/Mexico_City", "spanish", "Ciudad de México;Puebla", 4),
    ("America/Bogota", "spanish", "Bogotá;Medellín", 2),
    ("America/Santiago", "spanish", "Valparaíso;Ñuñoa", 2),
    ("America/Argentina/Buenos_Aires", "spanish", "Buenos Aires;Córdoba", 3),
    ("America/Sao_Paulo", "portuguese", "São Paulo;Florianópolis", 5),
    ("Atlantic/Azores", "portuguese", "Ponta Delgada", 1),
    ("Atlantic/Reykjavik", "icelandic", "Reykjavík", 1),
    ("Europe/Lisbon", "portuguese", "Lisboa;Évora", 3),
    ("Europe/London", "english", "Bristol;Leeds;Edinburgh", 8),
    ("Europe/Madrid", "spanish", "A Coruña;Málaga", 4),
    ("Europe/Paris", "french", "Lyon;Besançon;Nîmes", 6),
    ("Europe/Amsterdam", "dutch", "Utrecht;'s-Hertogenbosch", 3),
    ("Europe/Berlin", "german", "Köln;Leipzig;Lübeck", 7),
    ("Europe/Rome", "italian", "Forlì;Torino", 4),
    ("Europe/Oslo", "norwegian", "Tromsø;Bodø;Oslo", 3),
    ("Europe/Copenhagen", "danish", "Århus;Helsingør", 2),
    ("Europe/Stockholm", "swedish", "Malmö;Umeå", 3),
    ("Europe/Warsaw", "polish", "Łódź;Kraków", 4),
    ("Europe/Athens", "greek", "Θεσσαλονίκη;Αθήνα", 2),
    ("Europe/Helsinki", "finnish", "Jyväskylä;Espoo", 2),
    ("Europe/Kyiv", "ukrainian", "Львів;Київ", 3),
    ("Europe/Istanbul", "turkish", "İzmir;Eskişehir", 3),
    ("Asia/Jerusalem", "hebrew", "חיפה", 1),
    ("Africa/Cairo", "arabic", "القاهرة;الإسكندرية", 2),
    ("Africa/Lagos", "nigerian", "Lagos;Enugu", 3),
    ("Africa/Nairobi", "swahili", "Nairobi;Kisumu", 2),
    ("Africa/Addis_Ababa", "amharic", "አዲስ አበባ", 1),
    ("Africa/Johannesburg", "zulu", "Durban;Cape Town", 2),
    ("Asia/Tehran", "persian", "شیراز;تبریز", 2),
    ("Asia/Dubai", "arabic", "دبي", 1),
    ("Asia/Almaty", "kazakh", "Алматы", 1),
    ("Asia/Kolkata", "hindi", "Bengaluru;Pune;जयपुर", 6),
    ("Asia/Colombo", "sinhala", "Kandy", 1),
    ("Asia/Kathmandu", "nepali", "Pokhara", 1),
    ("Asia/Dhaka", "bengali", "ঢাকা", 1),
    ("Asia/Bangkok", "thai", "เชียงใหม่", 2),
    ("Asia/Ho_Chi_Minh", "vietnamese", "Đà Nẵng;Huế", 2),
    ("Asia/Jakarta", "indonesian", "Bandung;Yogyakarta", 2),
    ("Asia/Manila", "filipino", "Parañaque;Cebu", 2),
    ("Asia/Shanghai", "chinese", "杭州;成都", 4),
    ("Asia/Seoul", "korean", "부산;서울", 3),
    ("Asia/Tokyo", "japanese", "京都;札幌;福岡", 6),
    ("Australia/Adelaide", "english", "Adelaide", 1),
    ("Australia/Sydney", "english", "Newcastle;Wollongong", 3),
    ("Pacific/Auckland", "maori", "Whangārei;Dunedin", 2),
    ("Pacific/Chatham", "maori", "Waitangi", 1),
)
_NOT_DECOMPOSED = str.maketrans(
    {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "ß": "ss", "ı": "i"}
    | {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa"}
)


def people(number: int, seed: int = _SEED) -> Iterator[dict[str, str]]:
    """Yield so many people, nobody's address twice. About one in fifty has no zone or no city: forms are like that."""
    draw = random.Random(seed)
    weights = [weight for *_, weight in _PLACES]
    taken: set[str] = set()
    while len(taken) < number:
        zone, language, cities, _ = draw.choices(_PLACES, weights)[0]
        first_names, last_names = (_split(names) for names in _NAMES[language])
        (first, first_latin), (last, last_latin) = draw.choice(first_names), draw.choice(last_names)
        signed_up = _FIRST_DAY + timedelta(days=draw.randrange((_LAST_DAY - _FIRST_DAY).days + 1))
        address = _address(draw, first_latin, last_latin, taken)
        taken.add(address)
        yield {
            "email": address,
            "time_zone": "" if draw.random() < 0.02 else zone,
            "first_name": first,
            "last_name": last,
            "city": "" if draw.random() < 0.02 else draw.choice(cities.split(";")),
            "plan": draw.choices(_PLANS, _PLAN_WEIGHTS)[0],
            "signed_up": signed_up.isoformat(),
        }


def _split(names: str) -> list[tuple[str, str]]:
    """Return (as written, as in an address) of names separated by spaces, or by semicolons if there are any."""
    pairs = (name.partition("=") for name in names.split(";" if ";" in names else None))
    return [(written, latin or _latin(written)) for written, _, latin in pairs]


def _latin(name: str) -> str:
    decomposed = unicodedata.normalize("NFKD", name.lower().translate(_NOT_DECOMPOSED))
    return re.sub("[^a-z]", "", decomposed)


def _address(draw: random.Random, first: str, last: str, taken: set[str]) -> str:
    """Return an address that is free: the plain one if it is, else one with a number."""
    local = draw.choice((f"{first}.{last}", f"{first}{last[0]}", f"{first}_{last}", f"{last}.{first}"))
    for number in range(1, 10_000):
        address = f"{local}{'' if number == 1 else number}@{draw.choice(_DOMAINS)}"
        if address not in taken:
            return address
    raise AssertionError("ten thousand people of one name")


def main() -> None:
    """Write both files; nobody is in both."""
    everybody = list(people(NUMBER_OF_CONTACTS + NUMBER_OF_JOINERS))
    for path, chosen in ((CONTACTS, everybody[:NUMBER_OF_CONTACTS]), (JOINERS, everybody[NUMBER_OF_CONTACTS:])):
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(chosen)


if __name__ == "__main__":
    main()
