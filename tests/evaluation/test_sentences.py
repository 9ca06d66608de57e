import pytest

from bisum.evaluation.sentences import split_sentences


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("en", ["Dr. Smith met Mrs. Jones at 3.30 today.", "Was he late?", "No."]),
        ("es", ["El Sr. García llegó a las 3.30.", "¿Qué pasó?", "El Dr. Ruiz no vino."]),
        ("de", ["Das ist z.B. ein Satz.", "Und noch einer."]),
        ("pt_BR", ["O Sr. Silva chegou.", "Foi cedo."]),
        ("tlh", ["An unknown code still works.", "It does."]),
    ],
)
def test_abbreviations_do_not_end_sentences(language, sentences):
    assert split_sentences(" ".join(sentences), language) == sentences


def test_each_language_has_its_own_abbreviations():
    text = "Vive en la Avda. Reina Sofía."
    assert split_sentences(text, "es") == [text]
    assert split_sentences(text, "en") == ["Vive en la Avda.", "Reina Sofía."]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("ja", ["これは本です。", "値段は3.5ドルですか？", "はい！"]),
        ("zh", ["这是一支笔。", "价格是3.5元吗？", "太贵了！"]),
        ("hi", ["मेरा नाम राम है।", "मैं ठीक हूँ।"]),
    ],
)
def test_scripts_with_their_own_end_marks_are_split_by_rule(language, sentences):
    # Japanese and Chinese put no space between sentences.
    separator = " " if language == "hi" else ""
    assert split_sentences(separator.join(sentences), language) == sentences


def test_sentences_are_stripped_and_never_empty():
    assert split_sentences("  First one.\n\n  Second one.  \n", "en") == ["First one.", "Second one."]
    assert split_sentences("", "en") == split_sentences(" \n\t ", "es") == split_sentences("\u3000", "ja") == []


def test_line_break_alone_does_not_end_a_sentence():
    assert split_sentences("one sentence over\ntwo lines. Another.", "en") == [
        "one sentence over\ntwo lines.",
        "Another.",
    ]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("ne", ["हाम्रो गाउँ नदीको छेउमा छ।", "बिरालो छानामा सुतेको छ।", "बजार खुल्यो?"]),
        ("pa", ["ਸਾਡਾ ਪਿੰਡ ਦਰਿਆ ਕੋਲ ਹੈ।", "ਬਜ਼ਾਰ ਖੁੱਲ੍ਹਿਆ।"]),
        ("or", ["ଆମ ଗାଁ ନଦୀ ପାଖରେ।", "ବଜାର ଖୋଲିଲା।"]),
        ("as", ["আমাৰ গাঁও নদীৰ কাষত।", "বজাৰ খুলিল।"]),
        ("sa", ["ग्रामः नदीतीरे अस्ति।", "वृष्टिः अभवत्॥", "शान्तिः।"]),
        ("my", ["ရွာသည်မြစ်အနီး၊ တောင်ခြေတွင်ရှိသည်။", "ဈေးဖွင့်သည်။"]),  # the first mark is a comma
        ("km", ["ភូមិនៅជិតទន្លេ។", "ផ្សារបើក៕", "ឆ្មាដេក។"]),
        ("am", ["መንደራችን ወንዝ አጠገብ ነው።", "ገበያው ተከፈተ፡፡", "ዝናብ ዘነበ፧", "አዎ።"]),
        ("ti", ["ዓድና ኣብ ጥቓ ሩባ እዩ።", "ዕዳጋ ተኸፊቱ።"]),
        ("hy", ["Գյուղը գետի մոտ է։", "Շուկան բացվեց ժամը 12:30-ին:", "Անձրև եկավ։"]),
        ("bo", ["བོད་ཡིག་ཡིན།", "ང་འགྲོ།  །", "ཁྱོད་ཡོང༎"]),
        ("ur", ["گاؤں دریا کے پاس ہے۔", "کیا بارش ہوئی؟", "جی۔"]),
        ("ps", ["کلی د سیند سره دی۔", "باران وشو؟", "هو."]),
        ("ug", ["بۇ كىتابمۇ؟", "ھەئە."]),
        ("ckb", ["ئەمە کتێبە؟", "بەڵێ."]),
        ("sd", ["ڳوٺ درياءَ جي ويجهو آهي۔", "ها؟", "نه."]),
        ("mni", ["ꯑꯩ ꯆꯠꯂꯤ꯫", "ꯅꯪ ꯂꯥꯛꯎ꯫"]),
        ("sat", ["ᱚᱱᱟ ᱫᱚ ᱵᱩᱛᱟᱹᱢ᱾", "ᱱᱚᱣᱟ᱾"]),
        ("xx", ["यह है।", "वह है।"]),
    ],
)
def test_every_script_is_split_at_its_own_end_marks(language, sentences):
    assert split_sentences(" ".join(sentences), language) == [" ".join(sentence.split(" ")) for sentence in sentences]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("hi", ["उसने कहा, “चलो।”", "वह गया।", "(सब गए।)", "रात हुई।"]),
        ("am", ["«ነው።»", "ተኝታለች።"]),
        ("ja", ["「本当ですか？」", "「はい！」", "（終わり。）", "次へ｡", "明日！？", "うん。"]),
        ("zh", ["他说：“走吧。”", "她笑了！", "真的？！", "是。", "价格３．５元．", "好．"]),
        ("ne", ["के हो?।", "हो।"]),
        ("ar", ["هل هذا كتاب؟!", "نعم؟", "لا."]),
    ],
)
def test_closing_marks_stay_with_the_sentence_and_no_space_is_needed(language, sentences):
    separator = " " if language == "ar" else ""
    assert split_sentences(separator.join(sentences), language) == sentences


def test_straight_quotation_mark_before_a_space_closes():
    assert split_sentences('उसने कहा "चलो।" वह गया।', "hi") == ['उसने कहा "चलो।"', "वह गया।"]


def test_comma_after_an_end_mark_continues_the_sentence():
    assert split_sentences("कहा “चलो।”, फिर गया।", "ne") == ["कहा “चलो।”, फिर गया।"]


@pytest.mark.parametrize(
    ("language", "sentences"),
    [
        ("ru", ["Он родился в 2020 г.", "Он живёт в Москве."]),
        ("ru", ["Это было в 1990-х гг.", "В городе шёл дождь."]),
        ("ru", ["В 2020 г. Москва выросла.", "Город стал больше."]),  # a name, not the start of a sentence
        ("ru", ["В 2020 г. В. Иванов уехал."]),  # an initial
        ("uk", ["Він народився в 2020 р.", "Вона теж."]),
    ],
)
def test_year_ends_a_sentence_only_before_a_sentence_starter(language, sentences):
    assert split_sentences(" ".join(sentences), language) == sentences
