package synth

import "strings"

// culture is a stock of names with what tends to go with them. A name may
// carry its native spelling after a bar: "Wei|伟".
type culture struct {
	weight      float64
	race        code // OMB category
	hispanic    bool
	language    code // spoken by some beside English
	familyFirst bool // the native spelling puts the family name first, unspaced
	female      []string
	male        []string
	family      []string
}

var (
	raceWhite = code{"urn:oid:2.16.840.1.113883.6.238", "2106-3", "White"}
	raceBlack = code{"urn:oid:2.16.840.1.113883.6.238", "2054-5", "Black or African American"}
	raceAsian = code{"urn:oid:2.16.840.1.113883.6.238", "2028-9", "Asian"}

	english = code{"urn:ietf:bcp:47", "en", "English"}
)

func speaks(tag, name string) code { return code{"urn:ietf:bcp:47", tag, name} }

// words splits a line of names, so that the tables below read as lines.
func words(s string) []string { return strings.Fields(s) }

var cultures = []culture{
	{weight: 40, race: raceWhite, language: english,
		female: words("Mary Linda Susan Karen Emily Hannah Grace Abigail Claire Dorothy Evelyn Ruth Joan Heather Megan Laura Alice Norah Beth Paige"),
		male:   words("James Robert William Thomas Henry Samuel George Walter Daniel Owen Andrew Peter Frank Ralph Dylan Ethan Lucas Scott Kevin Neil"),
		family: words("Smith Walker Baker Turner Hughes Cooper Ward Bennett Foster Hayes Palmer Fisher Marsh Whitfield Thornton Hale Pruitt Langley Ashby O'Connor Sinclair-Reed McAllister")},
	{weight: 12, race: raceBlack, language: english,
		female: words("Aaliyah Imani Keisha Monique Latoya Denise Gloria Tanisha Ebony Yolanda Simone Nia"),
		male:   words("Darius Malik Terrence Jamal Isaiah Marcus Reginald Andre Tyrone Elijah Desmond Curtis"),
		family: words("Washington Jefferson Banks Booker Gaines Mosley Broadnax Freeman Jackson Coleman Rivers Tubman")},
	{weight: 18, race: raceWhite, hispanic: true, language: speaks("es", "Spanish"),
		female: words("María Lucía Sofía Guadalupe Ximena Inés Verónica Belén Concepción Esperanza Araceli Paloma"),
		male:   words("José Ángel Andrés Joaquín Raúl Martín Jesús Óscar Ignacio Tomás Rubén Iñaki"),
		family: words("García Núñez Hernández Muñoz Ibáñez Rodríguez Peña Castañeda Vásquez Gutiérrez Ordóñez Águila Quiñones Zúñiga")},
	{weight: 4, race: raceAsian, language: speaks("zh", "Chinese"), familyFirst: true,
		female: words("Mei|梅 Xiulan|秀兰 Jing|静 Li|丽 Yan|燕 Huifen|惠芬"),
		male:   words("Wei|伟 Jun|军 Jianguo|建国 Tao|涛 Haoran|浩然 Ming|明"),
		family: words("Wang|王 Zhang|张 Chen|陈 Liu|刘 Huang|黄 Zhao|赵 Lü|吕 Xu|徐")},
	{weight: 2, race: raceAsian, language: speaks("ko", "Korean"), familyFirst: true,
		female: words("Min-seo|민서 Ji-woo|지우 Eun-ji|은지 Soo-jin|수진"),
		male:   words("Min-jun|민준 Seo-yun|서윤 Hyun-woo|현우 Dong-hyun|동현"),
		family: words("Kim|김 Lee|이 Park|박 Choi|최 Jung|정 Kang|강")},
	{weight: 2, race: raceAsian, language: speaks("ja", "Japanese"), familyFirst: true,
		female: words("Yūko|裕子 Sakura|さくら Haruka|遥 Keiko|恵子"),
		male:   words("Kenji|健二 Hiroshi|浩 Shōta|翔太 Daichi|大地"),
		family: words("Satō|佐藤 Suzuki|鈴木 Itō|伊藤 Watanabe|渡辺 Kobayashi|小林")},
	{weight: 3, race: raceAsian, language: speaks("vi", "Vietnamese"),
		female: words("Thảo Hương Linh Ngọc Phương Tuyết"),
		male:   words("Đức Hùng Quân Tuấn Bảo Thành"),
		family: words("Nguyễn Trần Lê Phạm Đặng Võ Bùi")},
	{weight: 4, race: raceAsian, language: speaks("hi", "Hindi"),
		female: words("Priya|प्रिया Anjali|अंजलि Kavita|कविता Sunita|सुनीता Meera|मीरा"),
		male:   words("Arjun|अर्जुन Rahul|राहुल Vikram|विक्रम Sanjay|संजय Rohan|रोहन"),
		family: words("Sharma|शर्मा Patel|पटेल Gupta|गुप्ता Singh|सिंह Verma|वर्मा Joshi|जोशी")},
	{weight: 3, race: raceWhite, language: speaks("ar", "Arabic"),
		female: words("Fatima|فاطمة Layla|ليلى Maryam|مريم Noor|نور Huda|هدى"),
		male:   words("Mohammed|محمد Omar|عمر Khalid|خالد Yusuf|يوسف Hassan|حسن"),
		family: words("Haddad|حداد Khalil|خليل Mansour|منصور Nasser|ناصر Saleh|صالح")},
	{weight: 3, race: raceWhite, language: speaks("uk", "Ukrainian"),
		female: words("Oksana|Оксана Iryna|Ірина Natalia|Наталія Olena|Олена"),
		male:   words("Andriy|Андрій Dmytro|Дмитро Mykola|Микола Taras|Тарас"),
		family: words("Kovalenko|Коваленко Shevchenko|Шевченко Bondar|Бондар Petrenko|Петренко")},
	{weight: 3, race: raceWhite, language: speaks("pl", "Polish"),
		female: words("Małgorzata Agnieszka Zofia Elżbieta Łucja Żaneta"),
		male:   words("Paweł Łukasz Stanisław Michał Zdzisław Grzegorz"),
		family: words("Wójcik Kamiński Dąbrowska Żółkiewski Szymańska Błaszczyk")},
	{weight: 3, race: raceWhite, language: speaks("de", "German"),
		female: words("Jürgena Käthe Anneliese Ulrike Änne Heike"),
		male:   words("Jürgen Götz Björn Matthäus Rüdiger Klaus"),
		family: words("Müller Schröder Weiß Großmann Köhler Jäger Günther")},
	{weight: 1, race: raceWhite, language: speaks("is", "Icelandic"),
		female: words("Guðrún Sigríður Þórunn Ásdís"),
		male:   words("Þorsteinn Guðmundur Ægir Björgvin"),
		family: words("Hallgrímsson Þórðarson Ólafsdóttir Ævarsdóttir")},
	{weight: 2, race: raceBlack, language: speaks("yo", "Yoruba"),
		female: words("Fọlákẹ́ Títílayọ̀ Adébísí Omótáyò"),
		male:   words("Adébáyọ̀ Olúwaṣeun Akínwándé Babátúndé"),
		family: words("Adéyẹmí Ọlátúnjí Ògúnlẹ́yẹ Akíntọ́lá")},
	{weight: 2, race: raceWhite, language: speaks("tr", "Turkish"),
		female: words("Ayşe Gülşen İpek Özlem"),
		male:   words("Oğuz Çağlar İsmail Şükrü"),
		family: words("Yıldız Şahin Öztürk Çelik Kılıç Güneş")},
}

// fullName is a drawn name in Latin letters and, where the culture has one, in
// its own script.
type fullName struct {
	given, middle, family string
	native                string
}

func (n fullName) plain() string { return n.given + " " + n.family }

// name draws a person's name.
func (d dice) name(c *culture, female bool) fullName {
	givens := c.male
	if female {
		givens = c.female
	}
	given, ownGiven, _ := strings.Cut(pick(d, givens), "|")
	family, ownFamily, native := strings.Cut(pick(d, c.family), "|")
	n := fullName{given: given, family: family}
	switch {
	case native && c.familyFirst:
		n.native = ownFamily + ownGiven
	case native:
		n.native = ownGiven + " " + ownFamily
	default:
		if d.chance(0.5) {
			n.middle = pick(d, givens)
		}
		if c.hispanic && d.chance(0.6) {
			n.family += " " + pick(d, c.family)
		}
	}
	return n
}

// culture draws one by its share.
func (d dice) culture() *culture {
	return &cultures[d.weighted(len(cultures), func(i int) float64 { return cultures[i].weight })]
}
