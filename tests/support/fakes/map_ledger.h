// A ledger that a test fills. Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_MAP_LEDGER_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_MAP_LEDGER_H_

#include <map>
#include <string>
#include <utility>

#include "server/recipe/task.h"

namespace stockpot {

class MapLedger final : public Ledger {
 public:
  const Fact* Find(const std::string& key) const override {
    auto found = facts.find(key);
    return found == facts.end() ? nullptr : &found->second;
  }
  const std::string* FindExamples(const std::string& key) const override {
    auto found = facts.find(key);
    return found == facts.end() || found->second.examples.empty() ? nullptr
                                                                  : &found->second.examples;
  }
  void Add(Fact fact) {
    std::string key = fact.key;
    facts[std::move(key)] = std::move(fact);
  }
  std::map<std::string, Fact> facts;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_MAP_LEDGER_H_
