#include "server/worker/dataset/image_resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace stockpot {
namespace {

// Which inputs along one axis make an output, and with what weights.
template <typename Weight>
struct Taps {
  int first = 0;
  std::vector<Weight> weights;
};

// Keys' cubic convolution kernel at distance `x` for parameter `a`.
template <typename Real>
Real Cubic(Real x, Real a) {
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  if (x < 2) return (((x - 5) * x + 8) * x - 4) * a;
  return 0;
}

double Filter(Interpolation interpolation, double x) {
  if (interpolation == Interpolation::kBicubic) return Cubic(x, -0.5);
  return std::max(0.0, 1.0 - std::abs(x));
}

// 8 bits of the pixel and two of headroom for negative lobes leave 22 for the fraction.
constexpr int kFractionBits = 32 - 8 - 2;

int32_t ToFixedPoint(double weight) {
  // Rounds half away from zero, before the conversion truncates.
  return static_cast<int32_t>((weight < 0 ? -0.5 : 0.5) + weight * (1 << kFractionBits));
}

int RoundHalfUp(double value) { return static_cast<int>(std::floor(value + 0.5)); }

std::vector<Taps<int32_t>> AntialiasedTaps(int from, int to, Interpolation interpolation) {
  const double scale = static_cast<double>(from) / to;
  const double stretch = std::max(scale, 1.0);  // only a reduction widens the filter
  const double support = (interpolation == Interpolation::kBicubic ? 2.0 : 1.0) * stretch;
  std::vector<Taps<int32_t>> result(static_cast<size_t>(to));
  std::vector<double> weights;
  for (int i = 0; i < to; ++i) {
    const double center = (i + 0.5) * scale;
    const int first = std::max(0, RoundHalfUp(center - support));
    const int end = std::min(from, RoundHalfUp(center + support));
    double sum = 0;
    weights.clear();
    for (int j = first; j < end; ++j) {
      weights.push_back(Filter(interpolation, (j - center + 0.5) * (1.0 / stretch)));
      sum += weights.back();
    }
    Taps<int32_t>& taps = result[static_cast<size_t>(i)];
    taps.first = first;
    for (double weight : weights) taps.weights.push_back(ToFixedPoint(sum != 0 ? weight / sum : 0));
  }
  return result;
}

std::vector<Taps<float>> InterpolatedTaps(int from, int to, Interpolation interpolation) {
  const float scale = static_cast<float>(from) / static_cast<float>(to);
  std::vector<Taps<float>> result(static_cast<size_t>(to));
  for (int i = 0; i < to; ++i) {
    float position = scale * (static_cast<float>(i) + 0.5f) - 0.5f;
    if (interpolation == Interpolation::kBilinear) position = std::max(position, 0.0f);
    const float floor = std::floor(position);
    const float t = position - floor;
    const std::vector<float> weights =
        interpolation == Interpolation::kBilinear
            ? std::vector<float>{1 - t, t}
            : std::vector<float>{Cubic(t + 1, -0.75f), Cubic(t, -0.75f), Cubic(1 - t, -0.75f),
                                 Cubic(2 - t, -0.75f)};
    const int begin = static_cast<int>(floor) - (weights.size() == 4 ? 1 : 0);
    const int last = begin + static_cast<int>(weights.size()) - 1;
    // Beyond the border the border's pixel is repeated: its weights are added up.
    Taps<float>& taps = result[static_cast<size_t>(i)];
    taps.first = std::clamp(begin, 0, from - 1);
    taps.weights.resize(static_cast<size_t>(std::clamp(last, 0, from - 1) - taps.first) + 1);
    for (int j = begin; j <= last; ++j) {
      taps.weights[static_cast<size_t>(std::clamp(j, 0, from - 1) - taps.first)] +=
          weights[static_cast<size_t>(j - begin)];
    }
  }
  return result;
}

uint8_t RoundFixedPoint(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFractionBits, 0, 255));
}

constexpr int32_t kHalf = 1 << (kFractionBits - 1);

Image ResizeRows(const Image& image, int width, Interpolation interpolation) {
  const std::vector<Taps<int32_t>> columns = AntialiasedTaps(image.width, width, interpolation);
  Image result(image.height, width);
  for (int y = 0; y < image.height; ++y) {
    uint8_t* to = result.row(y);
    for (const Taps<int32_t>& taps : columns) {
      const uint8_t* from = image.row(y) + static_cast<ptrdiff_t>(taps.first) * Image::kChannels;
      int32_t sums[Image::kChannels] = {kHalf, kHalf, kHalf};
      for (int32_t weight : taps.weights) {
        for (int32_t& sum : sums) sum += weight * *from++;
      }
      for (int32_t sum : sums) *to++ = RoundFixedPoint(sum);
    }
  }
  return result;
}

Image ResizeColumns(const Image& image, int height, Interpolation interpolation) {
  const std::vector<Taps<int32_t>> rows = AntialiasedTaps(image.height, height, interpolation);
  Image result(height, image.width);
  std::vector<int32_t> sums(image.row_size());
  for (int y = 0; y < height; ++y) {
    const Taps<int32_t>& taps = rows[static_cast<size_t>(y)];
    std::fill(sums.begin(), sums.end(), kHalf);
    for (size_t j = 0; j < taps.weights.size(); ++j) {
      const uint8_t* from = image.row(taps.first + static_cast<int>(j));
      const int32_t weight = taps.weights[j];
      for (size_t x = 0; x < sums.size(); ++x) sums[x] += weight * from[x];
    }
    std::transform(sums.begin(), sums.end(), result.row(y), RoundFixedPoint);
  }
  return result;
}

}  // namespace

Image ResizeAntialiased(const Image& image, int height, int width, Interpolation interpolation) {
  // An axis that keeps its size is left alone.
  const auto resize_rows = [&](const Image& from) {
    return width == from.width ? from : ResizeRows(from, width, interpolation);
  };
  const auto resize_columns = [&](const Image& from) {
    return height == from.height ? from : ResizeColumns(from, height, interpolation);
  };
  // Each pass rounds to 8 bits, so their order shows. Pillow 13 (measured) begins with the columns
  // where the height shrinks by more than twice as many pixels as the width; Pillow up to 12 never.
  const int64_t height_loss = int64_t{image.height} - height;
  const int64_t width_loss = int64_t{image.width} - width;
  if (height_loss > 0 && height_loss > 2 * width_loss) return resize_rows(resize_columns(image));
  return resize_columns(resize_rows(image));
}

Image ResizeInterpolated(const Image& image, int height, int width, Interpolation interpolation) {
  const std::vector<Taps<float>> columns = InterpolatedTaps(image.width, width, interpolation);
  const std::vector<Taps<float>> rows = InterpolatedTaps(image.height, height, interpolation);
  Image result(height, width);
  for (int y = 0; y < height; ++y) {
    const Taps<float>& vertical = rows[static_cast<size_t>(y)];
    uint8_t* to = result.row(y);
    for (const Taps<float>& horizontal : columns) {
      float sums[Image::kChannels] = {};
      for (size_t j = 0; j < vertical.weights.size(); ++j) {
        const uint8_t* from = image.row(vertical.first + static_cast<int>(j)) +
                              static_cast<ptrdiff_t>(horizontal.first) * Image::kChannels;
        for (float weight : horizontal.weights) {
          for (float& sum : sums) {
            sum += vertical.weights[j] * weight * static_cast<float>(*from++);
          }
        }
      }
      for (float sum : sums)
        *to++ = static_cast<uint8_t>(std::clamp(std::nearbyint(sum), 0.f, 255.f));
    }
  }
  return result;
}

}  // namespace stockpot
