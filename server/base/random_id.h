// Identifiers that nobody guesses and that do not come twice. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_BASE_RANDOM_ID_H_
#define STOCKPOT_SERVER_BASE_RANDOM_ID_H_

#include <string>

namespace stockpot {

// 16 hexadecimal digits: 64 random bits.
std::string RandomId();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_RANDOM_ID_H_
