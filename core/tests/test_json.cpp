#include "bundle/json.hpp"

#include <doctest/doctest.h>

#include <string>
#include <string_view>

#include "sample_bundle.hpp"

using namespace cca;
using json::Value;

namespace {

Value parse(std::string_view text) {
    const cca_view bytes = test::view(text);
    return json::parse({bytes.data, bytes.size});
}

std::string string_in(std::string_view text) {
    const Value value = parse(text);
    REQUIRE(value.as<std::string>() != nullptr);
    return *value.as<std::string>();
}

std::int64_t integer_in(std::string_view text) {
    const Value value = parse(text);
    REQUIRE(value.as<std::int64_t>() != nullptr);
    return *value.as<std::int64_t>();
}

std::string nested(int depth) {
    return std::string(static_cast<std::size_t>(depth), '[') +
           std::string(static_cast<std::size_t>(depth), ']');
}

}  // namespace

TEST_CASE("JSON values") {
    CHECK(*parse(" true\n").as<bool>());
    CHECK_FALSE(*parse("false").as<bool>());
    const Value null = parse("null");
    CHECK(null.as<bool>() == nullptr);
    CHECK(null.find("a") == nullptr);
    CHECK(parse("[]").as<Value::Array>()->empty());
    CHECK(parse("{ }").as<Value::Object>()->empty());

    const Value value = parse(R"({"b": [1, -2, 3.5, "x"], "a": {"c": true}})");
    const Value* const list = value.find("b");
    REQUIRE(list != nullptr);
    const auto& elements = *list->as<Value::Array>();
    REQUIRE(elements.size() == 4);
    CHECK(*elements[1].as<std::int64_t>() == -2);
    CHECK(elements[2].as<std::int64_t>() == nullptr);
    CHECK(*elements[3].as<std::string>() == "x");
    CHECK(*value.find("a")->find("c")->as<bool>());
    CHECK(value.find("aa") == nullptr);
    CHECK(value.find("c") == nullptr);
}

TEST_CASE("JSON numbers") {
    CHECK(integer_in("0") == 0);
    CHECK(integer_in("-0") == 0);
    CHECK(integer_in("9223372036854775807") == INT64_MAX);
    CHECK(integer_in("-9223372036854775808") == INT64_MIN);
    for (const char* other : {"9223372036854775808", "1.0", "1e2", "-0.5E+3", "10e-1"}) {
        CHECK(parse(other).as<std::int64_t>() == nullptr);
    }
    for (const char* text :
         {"-", "+1", "01", ".5", "1.", "1e", "1e+", "0x1", "NaN", "Infinity", "1 2", "--1"}) {
        CHECK_THROWS_AS(parse(text), json::Error);
    }
}

TEST_CASE("JSON strings") {
    CHECK(string_in(R"("a\"\\\/\b\f\n\r\tz")") == "a\"\\/\b\f\n\r\tz");
    CHECK(string_in(R"("\u0041\u00e9\u20AC\ud83d\ude00")") ==
          "A\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80");
    CHECK(string_in("\"\xE2\x82\xAC\"") == "\xE2\x82\xAC");
    CHECK(string_in(R"("\u0000")") == std::string(1, '\0'));
    for (const char* text : {"\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\", "\"\\u12\"", "\"\\u12g4\"",
                             "\"\\u-123\"", "\"\\ud83d\"", "\"\\ud83d\\n\"", "\"\\ud83d\\u0041\"",
                             "\"\\ude00\"", "\"\xFF\"", "\"\xC3\"", "\"a\nb\"", "\"\x01\""}) {
        CHECK_THROWS_AS(parse(text), json::Error);
    }
}

TEST_CASE("what is no JSON is refused with its line") {
    for (const char* text : {"",          " ",        "[",          "]",     "[1",
                             "[1,",       "[1,]",     "[1 2]",      "{",     "{\"a\"",
                             "{\"a\":",   "{\"a\":1", "{\"a\":1,}", "{a:1}", "{1:1}",
                             "{\"a\" 1}", "tru",      "nul",        "[] []", "\xEF\xBB\xBF[]",
                             "'a'",       "[1]//"}) {
        CHECK_THROWS_AS(parse(text), json::Error);
    }
    CHECK_THROWS_WITH_AS(parse("[1,\n2,\n?]"), "line 3: a value expected", json::Error);
    CHECK_THROWS_AS(parse(std::string_view("[]\0", 3)), json::Error);
}

TEST_CASE("an object's names differ") {
    CHECK_THROWS_WITH_AS(parse(R"({"a": 1, "b": 2, "\u0061": 3})"), doctest::Contains("name twice"),
                         json::Error);
}

TEST_CASE("depth and number of values are limited") {
    CHECK_NOTHROW(parse(nested(json::kMaxDepth)));
    CHECK_THROWS_WITH_AS(parse(nested(json::kMaxDepth + 1)), doctest::Contains("nested too deeply"),
                         json::Error);
    CHECK_THROWS_AS(parse(std::string(1'000'000, '[')), json::Error);
    std::string many = "[0";
    for (std::size_t i = 2; i < json::kMaxValues; ++i) {
        many += ",0";
    }
    CHECK_NOTHROW(parse(many + "]"));
    CHECK_THROWS_WITH_AS(parse(many + ",0]"), doctest::Contains("too many values"), json::Error);
}
