#include "bundle/json.hpp"

#include <algorithm>
#include <charconv>

#include "bundle/utf8.hpp"

namespace cca::json {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

class Parser {
  public:
    explicit Parser(std::string_view text) : text_(text) {}

    Value parse_document() {
        Value value = parse_value(0);
        skip_space();
        if (position_ != text_.size()) {
            refuse("something after the document's end");
        }
        return value;
    }

  private:
    [[noreturn]] void refuse(const char* what) const {
        const auto line = 1 + std::count(text_.begin(), text_.begin() + offset(), '\n');
        throw Error("line " + std::to_string(line) + ": " + what);
    }

    std::ptrdiff_t offset() const {
        return static_cast<std::ptrdiff_t>(std::min(position_, text_.size()));
    }

    // The next character; NUL, which no rule allows, at the end.
    char peek() const { return position_ < text_.size() ? text_[position_] : '\0'; }

    bool accept(char c) {
        const bool there = position_ < text_.size() && text_[position_] == c;
        position_ += there;
        return there;
    }

    bool accept(std::string_view word) {
        const bool there = text_.substr(position_).starts_with(word);
        position_ += there ? word.size() : 0;
        return there;
    }

    void skip_space() {
        while (peek() == ' ' || peek() == '\n' || peek() == '\r' || peek() == '\t') {
            ++position_;
        }
    }

    void expect(char c, const char* what) {
        skip_space();
        if (!accept(c)) {
            refuse(what);
        }
    }

    Value parse_value(int depth) {
        if (++values_ > kMaxValues) {
            refuse("too many values");
        }
        skip_space();
        switch (peek()) {
            case '{':
                return parse_object(depth + 1);
            case '[':
                return parse_array(depth + 1);
            case '"':
                return Value(parse_string());
            default:
                return parse_scalar();
        }
    }

    Value parse_scalar() {
        if (accept("true")) {
            return Value(true);
        }
        if (accept("false")) {
            return Value(false);
        }
        if (accept("null")) {
            return Value();
        }
        return parse_number();
    }

    Value parse_object(int depth) {
        open(depth);
        Value::Object members;
        if (!closed('}')) {
            do {
                skip_space();
                if (peek() != '"') {
                    refuse("a name in quotes expected");
                }
                std::string name = parse_string();
                expect(':', "':' expected");
                members.push_back({std::move(name), parse_value(depth)});
            } while (another());
            expect('}', "',' or '}' expected");
        }
        std::ranges::sort(members, {}, &Value::Member::name);
        if (std::ranges::adjacent_find(members, {}, &Value::Member::name) != members.end()) {
            refuse("an object ends that has a name twice");
        }
        return Value(std::move(members));
    }

    Value parse_array(int depth) {
        open(depth);
        Value::Array elements;
        if (!closed(']')) {
            do {
                elements.push_back(parse_value(depth));
            } while (another());
            expect(']', "',' or ']' expected");
        }
        return Value(std::move(elements));
    }

    void open(int depth) {
        ++position_;
        if (depth > kMaxDepth) {
            refuse("nested too deeply");
        }
    }

    bool closed(char bracket) {
        skip_space();
        return accept(bracket);
    }

    bool another() {
        skip_space();
        return accept(',');
    }

    Value parse_number() {
        const std::size_t start = position_;
        accept('-');
        if (!accept('0')) {
            skip_digits("a value expected");
        }
        bool integer = true;
        if (accept('.')) {
            skip_digits("a digit expected after the decimal point");
            integer = false;
        }
        if (accept('e') || accept('E')) {
            static_cast<void>(accept('+') || accept('-'));
            check_exponent(skip_digits("a digit expected in the exponent"));
            integer = false;
        }
        if (position_ - start > kMaxNumberBytes) {
            refuse("a number of too many digits");
        }
        std::int64_t number = 0;
        const char* const end = text_.data() + position_;
        const auto result = std::from_chars(text_.data() + start, end, number);
        return integer && result.ec == std::errc() ? Value(number) : Value(OtherNumber());
    }

    std::string_view skip_digits(const char* what) {
        const std::size_t start = position_;
        while (is_digit(peek())) {
            ++position_;
        }
        if (position_ == start) {
            refuse(what);
        }
        return text_.substr(start, position_ - start);
    }

    void check_exponent(std::string_view digits) {
        int exponent = 0;
        const auto result = std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
        if (result.ec != std::errc() || exponent > kMaxExponent) {
            refuse("an exponent that is out of bounds");
        }
    }

    std::string parse_string() {
        ++position_;
        std::string text;
        while (!accept('"')) {
            if (accept('\\')) {
                parse_escape(text);
                continue;
            }
            const std::size_t length = utf8_length(text_.substr(position_));
            if (length == 0 || static_cast<unsigned char>(peek()) < 0x20) {
                refuse("a string without end, with a control character, or not in UTF-8");
            }
            text.append(text_.substr(position_, length));
            position_ += length;
        }
        return text;
    }

    void parse_escape(std::string& text) {
        constexpr std::string_view kEscapes = "\"\\/bfnrt";
        constexpr std::string_view kMeanings = "\"\\/\b\f\n\r\t";
        if (accept('u')) {
            append_utf8(text, parse_code_point());
            return;
        }
        const std::size_t which = kEscapes.find(peek());
        if (which == std::string_view::npos) {
            refuse("an unknown escape in a string");
        }
        ++position_;
        text.push_back(kMeanings[which]);
    }

    // What follows `\u`: one unit of UTF-16, or a surrogate and its other half.
    std::uint32_t parse_code_point() {
        const std::uint32_t unit = parse_hex4();
        if (unit < 0xD800 || unit > 0xDFFF) {
            return unit;
        }
        const std::uint32_t low = unit < 0xDC00 && accept("\\u") ? parse_hex4() : 0;
        if (low < 0xDC00 || low > 0xDFFF) {
            refuse("half a surrogate pair in a string");
        }
        return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }

    std::uint32_t parse_hex4() {
        const std::string_view digits = text_.substr(position_, 4);
        std::uint32_t unit = 0;
        const char* const end = digits.data() + digits.size();
        const auto result = std::from_chars(digits.data(), end, unit, 16);
        if (digits.size() != 4 || result.ec != std::errc() || result.ptr != end) {
            refuse("four hexadecimal digits expected after \\u");
        }
        position_ += 4;
        return unit;
    }

    std::string_view text_;
    std::size_t position_ = 0;
    std::size_t values_ = 0;
};

}  // namespace

const Value* Value::find(std::string_view name) const {
    const auto* members = as<Object>();
    if (members == nullptr) {
        return nullptr;
    }
    const auto found = std::ranges::lower_bound(*members, name, {}, &Member::name);
    return found != members->end() && found->name == name ? &found->value : nullptr;
}

Value parse(std::span<const std::uint8_t> document) {
    return Parser({reinterpret_cast<const char*>(document.data()), document.size()})
        .parse_document();
}

}  // namespace cca::json
