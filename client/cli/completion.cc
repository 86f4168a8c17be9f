#include "client/cli/completion.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"

namespace stockpot::cli {
namespace {

// What may be typed: after a command, the commands below it and the words of its arguments; after
// that and " -", its flags; after that and a flag that takes a value, the value's words, of which
// there are none where it may be anything.
using Choices = std::vector<std::pair<std::string, std::vector<std::string>>>;

// Of `TEXT:{greedy,uniform}`, as CLI11 tells what CLI::IsMember takes.
std::vector<std::string> WordsOf(const CLI::Option& option) {
  const std::string type = option.get_type_name();
  const size_t begin = type.find('{');
  const size_t end = type.find('}');
  if (begin == std::string::npos || end == std::string::npos) return {};
  const std::string listed = type.substr(begin + 1, end - begin - 1);
  if (absl::StrContains(listed, ' ')) return {};  // no words to complete
  return absl::StrSplit(listed, ',');
}

std::vector<std::string> NamesOf(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

void AddChoices(const CLI::App& app, const std::string& path, Choices& choices) {
  std::vector<std::string> words, flags;
  // Given no filter, CLI11 gives all.
  for (const CLI::App* command : app.get_subcommands({})) {
    words.push_back(command->get_name());
    AddChoices(*command, absl::StrCat(path, " ", command->get_name()), choices);
  }
  for (const CLI::Option* option : app.get_options()) {
    const std::vector<std::string> names = NamesOf(*option);
    const std::vector<std::string> values = WordsOf(*option);
    flags.insert(flags.end(), names.begin(), names.end());
    if (names.empty()) words.insert(words.end(), values.begin(), values.end());
    if (option->get_items_expected_max() == 0) continue;
    for (const std::string& name : names) {
      choices.emplace_back(absl::StrCat(path, " ", name), values);
    }
  }
  choices.emplace_back(path, std::move(words));
  choices.emplace_back(path + " -", std::move(flags));
}

// `first` KEY `middle` WORDS `last`, for each.
std::string Join(const Choices& choices, const char* first, const char* middle, const char* last) {
  std::string text;
  for (const auto& [key, words] : choices) {
    absl::StrAppend(&text, first, key, middle, absl::StrJoin(words, " "), last);
  }
  return text;
}

constexpr char kBash[] = R"(# In ~/.bashrc: source <(stockpot completion bash)
_stockpot() {
  local -A known=(
CHOICES  )
  local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} at=stockpot word words
  # bash takes --flag=value for three words.
  if [[ $current == = ]]; then current=; elif [[ $before == = ]]; then before=${COMP_WORDS[COMP_CWORD-2]}; fi
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    [[ $word != -* && -n ${known["$at $word"]+set} ]] && at+=" $word"
  done
  if [[ $before == -* && -n ${known["$at $before"]+set} ]]; then words=${known["$at $before"]}
  elif [[ $before == -* && -n ${known["stockpot $before"]+set} ]]; then words=${known["stockpot $before"]}
  elif [[ $current == -* ]]; then words="${known["$at -"]} ${known["stockpot -"]}"
  else words=${known["$at"]}; fi
  # Where no word fits, complete's options offer files.
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _stockpot stockpot
)";

constexpr char kZsh[] = R"(#compdef stockpot
# In ~/.zshrc, after compinit: source <(stockpot completion zsh)
_stockpot() {
  local -A known
  known=(
CHOICES  )
  local before=${words[CURRENT-1]} at=stockpot word offered
  if compset -P '--*='; then before=${IPREFIX%=}; fi
  for word in "${(@)words[2,CURRENT-1]}"; do
    [[ $word != -* && -n ${known[$at $word]+set} ]] && at+=" $word"
  done
  if [[ $before == -* && -n ${known[$at $before]+set} ]]; then offered=${known[$at $before]}
  elif [[ $before == -* && -n ${known[stockpot $before]+set} ]]; then offered=${known[stockpot $before]}
  elif [[ $PREFIX == -* ]]; then offered="${known[$at -]} ${known[stockpot -]}"
  else offered=${known[$at]}; fi
  if [[ -n $offered ]]; then compadd -- ${=offered}; else _files; fi
}
if [[ $funcstack[1] == _stockpot ]]; then _stockpot "$@"; else compdef _stockpot stockpot; fi
)";

std::string Quoted(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"\\", "\\\\"}, {"'", "\\'"}}), "'");
}

// A line for each command and flag; `below` are the commands that lead there.
void AddFishLines(const CLI::App& app, const std::vector<std::string>& below, std::string& text) {
  std::vector<std::string> conditions;
  for (const std::string& name : below) {
    conditions.push_back("__fish_seen_subcommand_from " + name);
  }
  const auto commands = app.get_subcommands({});
  std::vector<std::string> others;
  for (const CLI::App* command : commands) others.push_back(command->get_name());
  for (const CLI::Option* option : app.get_options()) {
    absl::StrAppend(&text, "complete -c stockpot");
    if (!below.empty()) {
      absl::StrAppend(&text, " -n ", Quoted(absl::StrJoin(conditions, "; and ")));
    }
    for (const std::string& name : option->get_snames()) absl::StrAppend(&text, " -s ", name);
    for (const std::string& name : option->get_lnames()) absl::StrAppend(&text, " -l ", name);
    const std::vector<std::string> words = WordsOf(*option);
    if (!words.empty()) absl::StrAppend(&text, " -f -a ", Quoted(absl::StrJoin(words, " ")));
    const bool named = !NamesOf(*option).empty();
    if (named && option->get_items_expected_max() > 0) absl::StrAppend(&text, " -r");
    if (named) absl::StrAppend(&text, " -d ", Quoted(option->get_description()));
    absl::StrAppend(&text, "\n");
  }
  if (commands.empty()) return;
  conditions.push_back("not __fish_seen_subcommand_from " + absl::StrJoin(others, " "));
  for (const CLI::App* command : commands) {
    absl::StrAppend(&text, "complete -c stockpot -f -n ",
                    Quoted(absl::StrJoin(conditions, "; and ")), " -a ", command->get_name(),
                    " -d ", Quoted(command->get_description()), "\n");
    std::vector<std::string> path = below;
    path.push_back(command->get_name());
    AddFishLines(*command, path, text);
  }
}

}  // namespace

std::string CompletionScript(const CLI::App& app, const std::string& shell) {
  if (shell == "fish") {
    std::string text = "# In ~/.config/fish/completions/stockpot.fish\n";
    AddFishLines(app, {}, text);
    return text;
  }
  Choices choices;
  AddChoices(app, app.get_name(), choices);
  return shell == "zsh"
             ? absl::StrReplaceAll(kZsh, {{"CHOICES", Join(choices, "    '", "' '", "'\n")}})
             : absl::StrReplaceAll(kBash, {{"CHOICES", Join(choices, "    [\"", "\"]='", "'\n")}});
}

}  // namespace stockpot::cli
